#include "core/io/yaml.h"

#include <libfyaml.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/file.h"

enum { DEPTH_LIMIT = 32, NODE_LIMIT = 100000, TEXT_LIMIT = 1024 * 1024, ARENA_BLOCK = 16 * 1024, APOSTROPHES_LIMIT = 4 };

struct Yaml {
    Arena *arena; /* every node and text below */
    char *name;
    YamlNode *root;
};

/* A mapping or sequence that is still open. */
typedef struct OpenNode {
    YamlNode *node;
    ARRAY(char *) keys;
    ARRAY(long) key_lines;
    ARRAY(long) key_columns;
    ARRAY(YamlNode *) items;
} OpenNode;

typedef struct Reader {
    Yaml *yaml;
    const char *text;
    size_t size;
    ARRAY(size_t) line_starts; /* byte offsets */
    OpenNode stack[DEPTH_LIMIT];
    size_t depth;
    size_t node_count;
    bool document_seen;
    size_t last_position; /* of the last event that had one */
    Diagnostic *diagnostic;
} Reader;

typedef struct Place {
    long line, column;
} Place;

/* The library counts columns in characters, and some nodes have no mark at all; a byte offset is what every mark has. */
static Place place_of(const Reader *reader, size_t position)
{
    size_t low = 0, high = reader->line_starts.count; /* the last line that starts at or before position */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (reader->line_starts.items[middle] <= position)
            low = middle;
        else
            high = middle;
    }
    return (Place){.line = (long)low + 1, .column = (long)(position - reader->line_starts.items[low]) + 1};
}

#define READER_FAIL(reader, code, place, ...) \
    FAIL_AT((reader)->diagnostic, (code), (reader)->yaml->name, (place).line, (place).column, __VA_ARGS__)

/* The library marks where a name or a quoted text begins; people look for the sign or the quote before it. */
static size_t with_sign(const Reader *reader, size_t position, const char *signs)
{
    return position > 0 && reader->text[position - 1] && strchr(signs, reader->text[position - 1]) ? position - 1 : position;
}

static Place event_place(Reader *reader, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    if (mark && mark->input_pos <= reader->size) {
        reader->last_position = mark->input_pos;
        if (event->type == FYET_ALIAS)
            reader->last_position = with_sign(reader, mark->input_pos, "*");
        else if (event->type == FYET_SCALAR && event->scalar.value && fy_token_scalar_style(event->scalar.value) != FYSS_PLAIN)
            reader->last_position = with_sign(reader, mark->input_pos, "\"'");
    }
    return place_of(reader, reader->last_position);
}

static Place token_place(const Reader *reader, struct fy_token *token, const char *signs)
{
    const struct fy_mark *mark = fy_token_start_mark(token);
    return place_of(reader,
                    mark && mark->input_pos <= reader->size ? with_sign(reader, mark->input_pos, signs) : reader->last_position);
}

static Status new_node(Reader *reader, YamlKind kind, Place place, YamlNode **node)
{
    if (++reader->node_count > NODE_LIMIT)
        return READER_FAIL(reader, STATUS_LIMIT, place, "more than %d values in one file", NODE_LIMIT);
    *node = arena_allocate(reader->yaml->arena, 1, sizeof **node);
    (*node)->kind = kind;
    (*node)->line = place.line;
    (*node)->column = place.column;
    return STATUS_OK;
}

static bool key_expected(const OpenNode *open)
{
    return open->node->kind == YAML_MAPPING && open->keys.count == open->items.count;
}

/* Puts a finished or just opened node where it belongs. */
static Status attach(Reader *reader, YamlNode *node)
{
    if (reader->depth == 0) {
        reader->yaml->root = node;
        return STATUS_OK;
    }
    OpenNode *open = &reader->stack[reader->depth - 1];
    if (key_expected(open)) {
        if (node->kind != YAML_SCALAR)
            return READER_FAIL(reader, STATUS_INVALID_INPUT, *node, "a key must be a plain word, not a %s",
                               node->kind == YAML_MAPPING ? "mapping" : "list");
        array_push(&open->keys, node->text);
        array_push(&open->key_lines, node->line);
        array_push(&open->key_columns, node->column);
        return STATUS_OK;
    }
    array_push(&open->items, node);
    return STATUS_OK;
}

static Status refuse_decoration(Reader *reader, struct fy_token *anchor, struct fy_token *tag)
{
    if (anchor)
        return READER_FAIL(reader, STATUS_UNSUPPORTED, token_place(reader, anchor, "&"),
                           "anchors (&name) are not supported here: write the value out at each place");
    if (tag)
        return READER_FAIL(reader, STATUS_UNSUPPORTED, token_place(reader, tag, ""),
                           "tags (!name) are not supported here: remove the tag");
    return STATUS_OK;
}

static Status read_scalar(Reader *reader, struct fy_event *event)
{
    Status status = STATUS_OK;
    Place place = event_place(reader, event);
    TRY(refuse_decoration(reader, event->scalar.anchor, event->scalar.tag));
    YamlNode *node;
    TRY(new_node(reader, YAML_SCALAR, place, &node));
    size_t size = 0;
    const char *text = event->scalar.value ? fy_token_get_text(event->scalar.value, &size) : NULL;
    if (text && memchr(text, '\0', size)) {
        status = READER_FAIL(reader, STATUS_INVALID_INPUT, place, "a NUL character (\\0) cannot be part of a text");
        goto out;
    }
    node->text = arena_copy_bytes(reader->yaml->arena, text ? text : "", text ? size : 0);
    node->quoted = event->scalar.value && fy_token_scalar_style(event->scalar.value) != FYSS_PLAIN;
    TRY(attach(reader, node));
out:
    return status;
}

static Status open_node(Reader *reader, struct fy_event *event, YamlKind kind, struct fy_token *anchor, struct fy_token *tag)
{
    Status status = STATUS_OK;
    Place place = event_place(reader, event);
    YamlNode *node;
    TRY(refuse_decoration(reader, anchor, tag));
    TRY(new_node(reader, kind, place, &node));
    if (reader->depth == DEPTH_LIMIT) {
        status = READER_FAIL(reader, STATUS_LIMIT, place, "more than %d levels of lists and mappings in each other", DEPTH_LIMIT);
        goto out;
    }
    TRY(attach(reader, node));
    reader->stack[reader->depth] = (OpenNode){.node = node};
    reader->depth++;
out:
    return status;
}

static void open_node_free(OpenNode *open)
{
    array_free(&open->keys);
    array_free(&open->key_lines);
    array_free(&open->key_columns);
    array_free(&open->items);
}

typedef struct KeyAt {
    const char *key;
    size_t index;
} KeyAt;

static int compare_keys(const void *a, const void *b)
{
    const KeyAt *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Reports the first key that is there a second time. By sorting: a hostile file may have very many keys. */
static Status refuse_duplicates(Reader *reader, const OpenNode *open)
{
    size_t count = open->keys.count, second = count, first = 0;
    if (count < 2)
        return STATUS_OK;
    KeyAt *sorted = memory_allocate(count, sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = (KeyAt){open->keys.items[i], i};
    qsort(sorted, count, sizeof *sorted, compare_keys);
    for (size_t i = 1; i < count; i++) {
        if (sorted[i].index < second && strcmp(sorted[i - 1].key, sorted[i].key) == 0) {
            second = sorted[i].index;
            first = sorted[i - 1].index;
        }
    }
    free(sorted);
    if (second == count)
        return STATUS_OK;
    Place place = {open->key_lines.items[second], open->key_columns.items[second]};
    return READER_FAIL(reader, STATUS_INVALID_INPUT, place, "key \"%s\" is there twice, first in line %ld: remove one of them",
                       open->keys.items[second], open->key_lines.items[first]);
}

static void *keep(Arena *arena, const void *items, size_t count, size_t size)
{
    void *kept = arena_allocate(arena, count, size);
    if (count)
        memcpy(kept, items, count * size);
    return kept;
}

static Status close_node(Reader *reader)
{
    ASSERT(reader->depth > 0);
    OpenNode *open = &reader->stack[reader->depth - 1];
    Status status = refuse_duplicates(reader, open);
    if (status != STATUS_OK)
        return status;
    Arena *arena = reader->yaml->arena;
    YamlNode *node = open->node;
    node->count = open->items.count;
    node->items = keep(arena, open->items.items, node->count, sizeof *node->items);
    if (node->kind == YAML_MAPPING) {
        ASSERT(open->keys.count == node->count); /* the library gives every key a value */
        node->keys = keep(arena, open->keys.items, node->count, sizeof *node->keys);
        node->key_lines = keep(arena, open->key_lines.items, node->count, sizeof *node->key_lines);
        node->key_columns = keep(arena, open->key_columns.items, node->count, sizeof *node->key_columns);
    }
    open_node_free(open);
    reader->depth--;
    return STATUS_OK;
}

static Status read_event(Reader *reader, struct fy_event *event)
{
    switch (event->type) {
    case FYET_DOCUMENT_START:
        if (reader->document_seen)
            return READER_FAIL(reader, STATUS_UNSUPPORTED, event_place(reader, event),
                               "a second document starts here: only one is read");
        reader->document_seen = true;
        return STATUS_OK;
    case FYET_MAPPING_START:
        return open_node(reader, event, YAML_MAPPING, event->mapping_start.anchor, event->mapping_start.tag);
    case FYET_SEQUENCE_START:
        return open_node(reader, event, YAML_SEQUENCE, event->sequence_start.anchor, event->sequence_start.tag);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        return close_node(reader);
    case FYET_SCALAR:
        return read_scalar(reader, event);
    case FYET_ALIAS:
        return READER_FAIL(reader, STATUS_UNSUPPORTED, event_place(reader, event),
                           "aliases (*name) are not supported here: write the value out");
    default: /* stream start and end, document end */
        return STATUS_OK;
    }
}

/* What the library has to say goes into our diagnostic, never to the terminal. */
static void drop_output(struct fy_diag *diag, void *user, const char *buffer, size_t length)
{
    (void)diag;
    (void)user;
    (void)buffer;
    (void)length;
}

static Status syntax_error(Reader *reader, struct fy_diag *diag)
{
    void *iterator = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(diag, &iterator);
    if (!error)
        return READER_FAIL(reader, STATUS_INVALID_INPUT, place_of(reader, reader->last_position),
                           "not valid YAML after this place");
    Place place = {error->line > 0 ? error->line : 1, error->column > 0 ? error->column : 1};
    if (error->fyt) {
        const struct fy_mark *mark = fy_token_start_mark(error->fyt);
        if (mark && mark->input_pos <= reader->size)
            place = place_of(reader, mark->input_pos);
    }
    return READER_FAIL(reader, STATUS_INVALID_INPUT, place, "not valid YAML: %s", error->msg ? error->msg : "syntax error");
}

static Status read_events(Reader *reader)
{
    Status status = STATUS_OK;
    struct fy_parser *parser = NULL;
    struct fy_event *event = NULL;
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.output_fn = drop_output;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    if (!diag)
        TRY_FAIL(reader->diagnostic, STATUS_OUT_OF_MEMORY, "%s: no memory to read it as YAML", reader->yaml->name);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE, .diag = diag};
    parser = fy_parser_create(&config);
    if (!parser || fy_parser_set_string(parser, reader->text, reader->size) != 0)
        TRY_FAIL(reader->diagnostic, STATUS_OUT_OF_MEMORY, "%s: no memory to read it as YAML", reader->yaml->name);
    bool ended = false;
    while ((event = fy_parser_parse(parser)) != NULL) {
        ended = event->type == FYET_STREAM_END;
        status = read_event(reader, event);
        fy_parser_event_free(parser, event);
        if (status != STATUS_OK)
            goto out;
    }
    if (!ended || fy_parser_get_stream_error(parser))
        status = syntax_error(reader, diag);
out:
    if (parser)
        fy_parser_destroy(parser);
    if (diag)
        fy_diag_destroy(diag);
    return status;
}

/* The library is given clean text only: what is neither UTF-8 nor printable is refused here, with its place. So are several apostrophes in
 * a row, where the library (0.7.12) reads 'a''''b' wrongly, and loses memory when they are many. */
static Status check_text(Reader *reader)
{
    const unsigned char *text = (const unsigned char *)reader->text;
    size_t apostrophes = 0;
    for (size_t i = 0; i < reader->size;) {
        unsigned char c = text[i];
        apostrophes = c == '\'' ? apostrophes + 1 : 0;
        if (apostrophes == APOSTROPHES_LIMIT)
            return READER_FAIL(reader, STATUS_LIMIT, place_of(reader, i - apostrophes + 1),
                               "%d apostrophes in a row: write them as \\x27 in double quotes",
                               APOSTROPHES_LIMIT);
        size_t length = c < 0x80 ? 1 : c >= 0xC2 && c <= 0xDF ? 2 : (c & 0xF0) == 0xE0 ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
        bool valid = length > 0 && length <= reader->size - i;
        for (size_t j = 1; valid && j < length; j++)
            valid = (text[i + j] & 0xC0) == 0x80;
        if (valid && length > 1)
            valid = !((c == 0xE0 && text[i + 1] < 0xA0) || (c == 0xED && text[i + 1] > 0x9F) || (c == 0xF0 && text[i + 1] < 0x90) ||
                      (c == 0xF4 && text[i + 1] > 0x8F));
        if (!valid)
            return READER_FAIL(reader, STATUS_INVALID_INPUT, place_of(reader, i), "not valid UTF-8: save the file as UTF-8");
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F)
            return READER_FAIL(reader, STATUS_INVALID_INPUT, place_of(reader, i), "a control character (0x%02x) stands here", c);
        i += length;
    }
    return STATUS_OK;
}

Status yaml_parse(Yaml **yaml, const char *text, size_t size, const char *name, Diagnostic *diagnostic)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    *yaml = NULL;
    if (size > TEXT_LIMIT)
        return FAIL(diagnostic, STATUS_LIMIT, "%s has %zu bytes, the limit for YAML is %d", name, size, TEXT_LIMIT);
    if (size >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        text += 3;
        size -= 3;
    }
    Status status = STATUS_OK;
    Yaml *made = memory_allocate(1, sizeof *made);
    made->arena = arena_create(ARENA_BLOCK);
    made->name = memory_copy_string(name);
    Reader reader = {.yaml = made, .text = text, .size = size, .diagnostic = diagnostic};
    array_push(&reader.line_starts, 0);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            array_push(&reader.line_starts, i + 1);
    }
    TRY(check_text(&reader));
    TRY(read_events(&reader));
    if (!made->root) { /* an empty file is a null */
        TRY(new_node(&reader, YAML_SCALAR, (Place){1, 1}, &made->root));
        made->root->text = arena_copy_bytes(made->arena, "", 0);
    }
    *yaml = made;
    made = NULL;
out:
    for (size_t i = 0; i < reader.depth; i++)
        open_node_free(&reader.stack[i]);
    array_free(&reader.line_starts);
    yaml_destroy(&made);
    return status;
}

Status yaml_read_file(Yaml **yaml, const char *path, Diagnostic *diagnostic)
{
    *yaml = NULL;
    Status status = STATUS_OK;
    char *text = NULL;
    size_t size;
    TRY(file_read(path, TEXT_LIMIT, &text, &size, diagnostic));
    TRY(yaml_parse(yaml, text, size, path, diagnostic));
out:
    free(text);
    return status;
}

void yaml_destroy(Yaml **yaml)
{
    if (!*yaml)
        return;
    arena_destroy(&(*yaml)->arena);
    free((*yaml)->name);
    free(*yaml);
    *yaml = NULL;
}

const YamlNode *yaml_root(const Yaml *yaml)
{
    return yaml->root;
}

const char *yaml_name(const Yaml *yaml)
{
    return yaml->name;
}

const YamlNode *yaml_get(const YamlNode *mapping, const char *key)
{
    if (!mapping || mapping->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->count; i++) {
        if (strcmp(mapping->keys[i], key) == 0)
            return mapping->items[i];
    }
    return NULL;
}

bool yaml_is_null(const YamlNode *node)
{
    if (!node || node->kind != YAML_SCALAR || node->quoted)
        return false;
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++) {
        if (strcmp(node->text, nulls[i]) == 0)
            return true;
    }
    return false;
}
