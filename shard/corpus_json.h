/* What the readers of JSON formats share. Internal to shard/. */
#ifndef NERSWEEP_SHARD_CORPUS_JSON_H
#define NERSWEEP_SHARD_CORPUS_JSON_H

#include "shard/corpus_internal.h"

typedef struct JsonSource {
    CorpusRecords *records;
    Json *record; /* an object */
    long line, column;
    OffsetIndex points, utf16;
    const char *indexed; /* the text that utf16 is of */
    bool document_pending;
    StringArray label_list;
} JsonSource;

NODISCARD Status json_source_open(CorpusReader *reader, bool array, Diagnostic *diagnostic);
void json_source_close(CorpusReader *reader);
void json_source_progress(const CorpusReader *reader, uint64_t *bytes_done, uint64_t *bytes_total);
/* The next record that is an object goes to source->record. */
NODISCARD Status json_source_next(CorpusReader *reader, bool *more, Diagnostic *diagnostic);
/* An error of the record; *usable = false. */
NODISCARD Status json_refuse(CorpusReader *reader, bool *usable, const char *rule, Diagnostic *diagnostic, const char *format, ...)
    PRINTF_LIKE(5, 6);

/* The record's text; what is added after it has offsets in it. */
void json_text_set(CorpusReader *reader, const char *text);
/* A span [start, end) in code points. expected (or NULL): what the file says it covers; where that only fits offsets in UTF-16 units they
 * are taken as such, and counted. */
NODISCARD Status json_span_add(CorpusReader *reader, const Json *start, const Json *end, const char *label, const char *expected,
                               bool *usable, Diagnostic *diagnostic);
/* tokens: [{"start", "end", "text"?}]. */
NODISCARD Status json_tokens_add(CorpusReader *reader, const Json *tokens, bool *usable, Diagnostic *diagnostic);
/* Are these tokens of that kind? */
bool json_tokens_have_offsets(const Json *tokens);

#endif
