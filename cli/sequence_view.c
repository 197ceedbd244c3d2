#include "cli/sequence_view.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/table.h"
#include "cli/terminal.h"

/* By entity type; O has none. Overlaps are faint. */
static const char *const type_styles[] = {"36", "33", "35", "32", "34", "31", "96", "93"};
static const char overlap_style[] = "2", heading_style[] = "1";
enum { TYPE_STYLES = sizeof type_styles / sizeof type_styles[0] };

static void token_text(const ShardSequence *sequence, int32_t token, Text *text)
{
    uint32_t start = sequence->text_offsets[token];
    text_append(text, sequence->text + start, sequence->text_offsets[token + 1] - start);
}

bool sequence_view_wanted(const LabelTable *table, const ShardSequence *sequence, const char *contains, bool with_entities)
{
    bool entity = false;
    Text joined = {0};
    for (int32_t i = 0; with_entities && !entity && i < sequence->token_count; i++)
        entity = table->prefixes[sequence->gold[i]] != PREFIX_O;
    for (int32_t i = 0; contains && i < sequence->token_count; i++) {
        text_append_string(&joined, i > 0 ? " " : "");
        token_text(sequence, i, &joined);
    }
    bool held = !contains || (joined.bytes && strstr(joined.bytes, contains));
    text_free(&joined);
    return held && (entity || !with_entities);
}

/* A piece as text, or its id where no vocabulary says what it is. */
static const char *piece_text(const Wordpiece *wordpiece, int32_t id, char id_text[16])
{
    const char *piece = wordpiece ? wordpiece_piece(wordpiece, id) : NULL;
    snprintf(id_text, 16, "%d", id);
    return piece ? piece : id_text;
}

static const char *label_text(const ShardStore *store, int32_t label)
{
    return label == TOKEN_LABEL_IGNORED ? "-100" : label_set_name(shard_store_labels(store), label);
}

/* What a row is shown in: the type of its token; overlaps and special pieces stay back. */
static const char *row_style(const SequenceView *view, const ShardSequence *sequence, int32_t token, bool owned)
{
    if (token < 0 || !owned)
        return overlap_style;
    int32_t type = view->table->types[sequence->gold[token]];
    return type < 0 ? NULL : type_styles[type % TYPE_STYLES];
}

static void table_add(const SequenceView *view, const ShardSequence *sequence, const ShardWindow *window, int32_t i, Table *table)
{
    char id_text[16];
    Text text = {0};
    int32_t token = window->token_index[i];
    bool owned = token < 0 || (i >= window->owned_first && i < window->owned_end);
    bool first = token >= 0 && window->token_index[i - 1] != token;
    const char *style = row_style(view, sequence, token, owned);
    text_append(&text, "", 0);
    if (first)
        token_text(sequence, token, &text);
    table_cell(table, style, "%s", owned ? "" : "~");
    table_cell(table, style, "%d", i);
    table_cell(table, style, "%s", piece_text(view->wordpiece, window->ids[i], id_text));
    table_cell(table, style, "%s", label_text(view->store, window->labels[i]));
    table_cell(table, style, token < 0 ? "-" : "%d", token);
    table_cell(table, style, "%s", text.bytes);
    table_cell(table, style, "%s", first ? label_set_name(shard_store_all_labels(view->store), sequence->gold[token]) : "");
    table_end_row(table);
    text_free(&text);
}

static void print_window(const SequenceView *view, const ShardSequence *sequence, int64_t index, int32_t number,
                         const ShardWindow *window)
{
    static const TableColumn columns[] = {
        {0}, {.right = true}, {.shrink = true}, {.shrink = true}, {.right = true}, {.shrink = true}, {.shrink = true}};
    static const char *const headings[] = {"", "#", "piece", "label", "token", "text", "gold"};
    bool colours = command_colours(stdout);
    Table *table = table_create(columns, sizeof columns / sizeof columns[0]);
    printf("%s# window %lld, sequence %lld, %d pieces\n# line %lld, %d tokens\n", colours ? "\033[1m" : "",
           (long long)sequence->first_window + number, (long long)index, window->length, (long long)sequence->line,
           sequence->token_count);
    if (sequence->window_count > 1)
        printf("# part %d of %d, counts pieces %d to %d; ~ is counted by another\n", number + 1, sequence->window_count,
               window->owned_first, window->owned_end - 1);
    printf("%s", colours ? "\033[0m" : "");
    for (size_t i = 0; i < sizeof headings / sizeof headings[0]; i++)
        table_cell(table, heading_style, "%s", headings[i]);
    for (int32_t i = 0; i < window->length; i++)
        table_add(view, sequence, window, i, table);
    table_print(table, stdout, terminal_width(stdout), colours);
    putchar('\n');
    table_destroy(&table);
}

static Json *tokens_json(const SequenceView *view, const ShardSequence *sequence, int32_t first, int32_t end)
{
    Json *tokens = json_array();
    Text text = {0};
    for (int32_t i = first; i < end; i++) {
        Json *token = json_object();
        text_clear(&text);
        token_text(sequence, i, &text);
        json_set(token, "index", json_integer(i));
        json_set(token, "text", json_string_bytes(text.bytes ? text.bytes : "", text.size));
        json_set(token, "gold", json_string(label_set_name(shard_store_all_labels(view->store), sequence->gold[i])));
        json_append(tokens, token);
    }
    text_free(&text);
    return tokens;
}

static void print_window_json(const SequenceView *view, const ShardSequence *sequence, int64_t index, int32_t number,
                              const ShardWindow *window)
{
    char id_text[16];
    Json *json = json_object(), *ids = json_array(), *pieces = json_array(), *names = json_array(), *token_index = json_array(),
         *owned = json_array();
    int32_t first = -1, end = 0;
    for (int32_t i = 0; i < window->length; i++) {
        int32_t token = window->token_index[i];
        json_append(ids, json_integer(window->ids[i]));
        json_append(pieces, json_string(piece_text(view->wordpiece, window->ids[i], id_text)));
        json_append(names, json_string(label_text(view->store, window->labels[i])));
        json_append(token_index, json_integer(token));
        if (token >= 0) {
            first = first < 0 ? token : first;
            end = token + 1;
        }
    }
    json_append(owned, json_integer(window->owned_first));
    json_append(owned, json_integer(window->owned_end));
    json_set(json, "window", json_integer(sequence->first_window + number));
    json_set(json, "sequence", json_integer(index));
    json_set(json, "line", json_integer(sequence->line));
    json_set(json, "window_of_sequence", json_integer(number));
    json_set(json, "windows_of_sequence", json_integer(sequence->window_count));
    json_set(json, "owned", owned);
    json_set(json, "ids", ids);
    json_set(json, "pieces", pieces);
    json_set(json, "labels", names);
    json_set(json, "token_index", token_index);
    json_set(json, "tokens", tokens_json(view, sequence, first < 0 ? 0 : first, end));
    command_print_json(&json, JSON_COMPACT);
}

Status sequence_view_show(const SequenceView *view, int64_t index, const ShardSequence *sequence, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    for (int32_t i = 0; i < sequence->window_count; i++) {
        ShardWindow window;
        TRY(shard_window_read(view->store, view->split, sequence->first_window + i, view->arena, &window, diagnostic));
        (view->json ? print_window_json : print_window)(view, sequence, index, i, &window);
        if (ferror(stdout))
            TRY(command_flush(diagnostic));
    }
out:
    return status;
}
