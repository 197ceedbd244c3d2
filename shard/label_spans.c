#include "shard/label_spans.h"

#include <stdlib.h>

enum { LABELS_KEPT = 4096 };

void label_spans_free(LabelSpans *spans)
{
    label_table_destroy(&spans->table);
    label_set_destroy(&spans->set);
    array_free(&spans->ids);
    array_free(&spans->spans);
}

Status label_spans_extract(LabelSpans *spans, const CorpusSentence *sentence, const char *path, Diagnostic *diagnostic)
{
    if (spans->set && label_set_count(spans->set) > LABELS_KEPT) {
        label_table_destroy(&spans->table);
        label_set_destroy(&spans->set);
    }
    if (!spans->set)
        spans->set = label_set_create();
    spans->ids.count = spans->spans.count = 0;
    for (int32_t i = 0; i < sentence->token_count; i++) {
        const CorpusToken *token = &sentence->tokens[i];
        LabelParts parts;
        if (!label_split(token->label, &parts))
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, token->line, token->label_column,
                           "\"%.64s\" is no label: expected O, or B-, I-, E-, S-, L- or U- and a type [unknown-prefix]",
                           token->label);
        array_push(&spans->ids, label_set_add(spans->set, token->label));
    }
    if (spans->table && spans->table->label_count != label_set_count(spans->set))
        label_table_destroy(&spans->table);
    Status status = spans->table ? STATUS_OK : label_table_create(&spans->table, spans->set, diagnostic);
    if (status == STATUS_OK)
        spans_extract_default(spans->table, spans->ids.items, sentence->token_count, &spans->spans);
    return status;
}
