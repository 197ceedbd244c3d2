/* The library's names and ours overlap. Its header comes first; what we use of an overlapping name gets a name of its own here, then
 * the overlapping macros go, and our header follows. */
#include <jansson.h>

static json_t *jansson_object(void)
{
    return json_object();
}

static json_t *jansson_array(void)
{
    return json_array();
}

static json_t *jansson_string(const char *utf8, size_t size)
{
    return json_stringn_nocheck(utf8, size);
}

static json_t *jansson_integer(json_int_t value)
{
    return json_integer(value);
}

static json_t *jansson_real(double value)
{
    return json_real(value);
}

static json_t *jansson_boolean(int value)
{
    return json_boolean(value);
}

static json_t *jansson_null(void)
{
    return json_null();
}

static const char *jansson_string_value(const json_t *json)
{
    return json_string_value(json);
}

static json_int_t jansson_integer_value(const json_t *json)
{
    return json_integer_value(json);
}

static double jansson_number_value(const json_t *json)
{
    return json_number_value(json);
}

enum {
    JANSSON_COMPACT = JSON_COMPACT,
    JANSSON_PARSE = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
    JANSSON_DUMP = JSON_ENCODE_ANY | JSON_REAL_PRECISION(17),
};

#undef JSON_COMPACT
#undef json_boolean
#undef json_boolean_value
#undef json_is_array
#undef json_is_boolean
#undef json_is_integer
#undef json_is_null
#undef json_is_number
#undef json_is_object
#undef json_is_string

#include "core/io/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/file.h"

/* A Json is the library's value: the struct is never defined. */
static json_t *inner(const Json *json)
{
    return (json_t *)(uintptr_t)json;
}

static Json *outer(json_t *json)
{
    return (Json *)json;
}

static Json *made(json_t *json)
{
    ASSERT(json != NULL); /* the library fails here only without memory */
    return outer(json);
}

static bool has_type(const Json *json, json_type type)
{
    return json && json_typeof(inner(json)) == type;
}

/* Where a byte stands. Columns are bytes, like everybody's tools count them (the library counts characters). */
static void place_of(const char *text, size_t at, long *line, long *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at; i++) {
        *line += text[i] == '\n';
        *column = text[i] == '\n' ? 1 : *column + 1;
    }
}

/* Lists and objects take far more memory than text: so many are believed. Strings are looked over, as brackets in them are none. */
static Status check_bounds(const char *text, size_t size, const char *name, Diagnostic *diagnostic)
{
    size_t containers = 0, values = 0;
    bool string = false;
    if (size < JSON_CONTAINER_LIMIT) /* each takes a byte at least */
        return STATUS_OK;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (string) {
            i += c == '\\';
            string = c != '"';
        } else {
            string = c == '"';
            containers += c == '[' || c == '{';
            values += c == ',' || c == ':';
            if (containers > JSON_CONTAINER_LIMIT || values > JSON_VALUE_LIMIT) {
                long line, column;
                place_of(text, i, &line, &column);
                return FAIL_AT(diagnostic, STATUS_LIMIT, name, line, column, "more than %d lists and objects, or %d values",
                               JSON_CONTAINER_LIMIT, JSON_VALUE_LIMIT);
            }
        }
    }
    return STATUS_OK;
}

/* The place of the library's error, which lies one behind the last byte read. */
static Status parse_fail(const json_error_t *error, const char *text, size_t size, const char *name, Diagnostic *diagnostic)
{
    size_t at = error->position < 0 ? 0 : (size_t)error->position < size ? (size_t)error->position : size;
    size_t start = at > 0 ? at - 1 : 0;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, error->line > 0 ? error->line : 1, at > start ? (long)(at - start) : 1,
                   "not valid JSON: %s", error->text);
}

Status json_parse(Json **json, const char *text, size_t size, const char *name, Diagnostic *diagnostic)
{
    json_error_t error;
    *json = NULL;
    const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;
    if (nul) { /* behind a number the library overlooks it */
        long line, column;
        place_of(text, (size_t)(nul - text), &line, &column);
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, line, column, "not valid JSON: a NUL byte");
    }
    Status status = check_bounds(text, size, name, diagnostic);
    if (status != STATUS_OK)
        return status;
    json_t *parsed = json_loadb(size ? text : "", size, JANSSON_PARSE, &error);
    *json = outer(parsed);
    if (parsed)
        return STATUS_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return FAIL(diagnostic, STATUS_OUT_OF_MEMORY, "%s: no memory to read it as JSON", name);
    return parse_fail(&error, text, size, name, diagnostic);
}

Status json_read_file(Json **json, const char *path, size_t size_limit, Diagnostic *diagnostic)
{
    *json = NULL;
    Status status = STATUS_OK;
    char *text = NULL;
    size_t size;
    TRY(file_read(path, size_limit, &text, &size, diagnostic));
    TRY(json_parse(json, text, size, path, diagnostic));
out:
    free(text);
    return status;
}

void json_destroy(Json **json)
{
    json_decref(inner(*json));
    *json = NULL;
}

Json *json_object(void)
{
    return made(jansson_object());
}

Json *json_array(void)
{
    return made(jansson_array());
}

/* Length of the well-formed UTF-8 sequence at the start of bytes, or 0 (overlong, surrogate, cut off, above U+10FFFF). */
static size_t utf8_length(const unsigned char *bytes, size_t size)
{
    unsigned char first = bytes[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xC2 && first <= 0xDF ? 2 : (first & 0xF0) == 0xE0 ? 3 : first >= 0xF0 && first <= 0xF4 ? 4 : 0;
    if (length == 0 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((first == 0xE0 && bytes[1] < 0xA0) || (first == 0xED && bytes[1] > 0x9F) || (first == 0xF0 && bytes[1] < 0x90) ||
        (first == 0xF4 && bytes[1] > 0x8F))
        return 0;
    return length;
}

/* Valid UTF-8 from any bytes: what is not valid, and NUL, which our strings cannot carry, become U+FFFD. */
static void append_valid_utf8(Text *text, const char *bytes, size_t size)
{
    const unsigned char *at = (const unsigned char *)bytes;
    for (size_t i = 0, run = 0; i < size; i = run) {
        size_t length;
        while (run < size && at[run] && (length = utf8_length(at + run, size - run)) > 0)
            run += length;
        text_append(text, bytes + i, run - i);
        if (run < size) {
            text_append_string(text, "\xEF\xBF\xBD");
            run++;
        }
    }
}

Json *json_string_bytes(const char *utf8, size_t size)
{
    Text text = {0};
    append_valid_utf8(&text, utf8, size);
    Json *string = made(jansson_string(text.bytes ? text.bytes : "", text.size));
    text_free(&text);
    return string;
}

Json *json_string(const char *utf8)
{
    return json_string_bytes(utf8, strlen(utf8));
}

Json *json_integer(int64_t value)
{
    return made(jansson_integer(value));
}

Json *json_real(double value)
{
    return isfinite(value) ? made(jansson_real(value)) : json_null();
}

Json *json_boolean(bool value)
{
    return made(jansson_boolean(value));
}

Json *json_null(void)
{
    return made(jansson_null());
}

Json *json_copy(const Json *json)
{
    return made(json_deep_copy(inner(json)));
}

void json_set(Json *object, const char *key, Json *value)
{
    ASSERT(has_type(object, JSON_OBJECT) && value != NULL);
    Text valid = {0};
    append_valid_utf8(&valid, key, strlen(key));
    int failed = json_object_set_new_nocheck(inner(object), valid.bytes ? valid.bytes : "", inner(value));
    text_free(&valid);
    ASSERT(!failed); /* no memory, or an object put into itself */
}

void json_append(Json *array, Json *value)
{
    ASSERT(has_type(array, JSON_ARRAY) && value != NULL);
    int failed = json_array_append_new(inner(array), inner(value));
    ASSERT(!failed);
}

const Json *json_get(const Json *object, const char *key)
{
    return has_type(object, JSON_OBJECT) ? outer(json_object_get(inner(object), key)) : NULL;
}

const Json *json_at(const Json *array, size_t index)
{
    return has_type(array, JSON_ARRAY) ? outer(json_array_get(inner(array), index)) : NULL;
}

size_t json_count(const Json *json)
{
    if (has_type(json, JSON_OBJECT))
        return json_object_size(inner(json));
    return has_type(json, JSON_ARRAY) ? json_array_size(inner(json)) : 0;
}

static void *iterator_at(const Json *object, size_t index)
{
    if (!has_type(object, JSON_OBJECT))
        return NULL;
    void *iterator = json_object_iter(inner(object));
    for (size_t i = 0; iterator && i < index; i++)
        iterator = json_object_iter_next(inner(object), iterator);
    return iterator;
}

const char *json_key_at(const Json *object, size_t index)
{
    void *iterator = iterator_at(object, index);
    return iterator ? json_object_iter_key(iterator) : NULL;
}

const Json *json_value_at(const Json *object, size_t index)
{
    void *iterator = iterator_at(object, index);
    return iterator ? outer(json_object_iter_value(iterator)) : NULL;
}

const char *json_next_key(const Json *object, const char *key)
{
    if (!key)
        return json_key_at(object, 0);
    void *iterator = json_object_iter_next(inner(object), json_object_key_to_iter(key));
    return iterator ? json_object_iter_key(iterator) : NULL;
}

bool json_is_object(const Json *json)
{
    return has_type(json, JSON_OBJECT);
}

bool json_is_array(const Json *json)
{
    return has_type(json, JSON_ARRAY);
}

bool json_is_string(const Json *json)
{
    return has_type(json, JSON_STRING);
}

bool json_is_integer(const Json *json)
{
    return has_type(json, JSON_INTEGER);
}

bool json_is_number(const Json *json)
{
    return has_type(json, JSON_INTEGER) || has_type(json, JSON_REAL);
}

bool json_is_boolean(const Json *json)
{
    return has_type(json, JSON_TRUE) || has_type(json, JSON_FALSE);
}

bool json_is_null(const Json *json)
{
    return has_type(json, JSON_NULL);
}

const char *json_string_value(const Json *json)
{
    return json ? jansson_string_value(inner(json)) : NULL;
}

int64_t json_integer_value(const Json *json, int64_t otherwise)
{
    return json_is_integer(json) ? jansson_integer_value(inner(json)) : otherwise;
}

double json_number_value(const Json *json, double otherwise)
{
    return json_is_number(json) ? jansson_number_value(inner(json)) : otherwise;
}

bool json_boolean_value(const Json *json, bool otherwise)
{
    return json_is_boolean(json) ? has_type(json, JSON_TRUE) : otherwise;
}

static const char *kind_name(const Json *json)
{
    switch (json_typeof(inner(json))) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "unknown";
}

/* The member under key if fits says yes to it. */
static Status require(const Json *object, const char *key, const char *name, bool (*fits)(const Json *), const char *wanted,
                      const Json **value, Diagnostic *diagnostic)
{
    if (!json_is_object(object))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: expected an object with the key \"%s\"%s%s", name, key,
                    object ? ", found " : "", object ? kind_name(object) : "");
    *value = json_get(object, key);
    if (!*value)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: key \"%s\" is missing, expected %s", name, key, wanted);
    if (!fits(*value))
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: key \"%s\" is %s, expected %s", name, key, kind_name(*value), wanted);
    return STATUS_OK;
}

Status json_require_string(const Json *object, const char *key, const char *name, const char **value, Diagnostic *diagnostic)
{
    const Json *found;
    Status status = require(object, key, name, json_is_string, "a string", &found, diagnostic);
    if (status == STATUS_OK)
        *value = json_string_value(found);
    return status;
}

Status json_require_integer(const Json *object, const char *key, const char *name, int64_t minimum, int64_t maximum, int64_t *value,
                            Diagnostic *diagnostic)
{
    const Json *found;
    Status status = require(object, key, name, json_is_integer, "an integer", &found, diagnostic);
    if (status != STATUS_OK)
        return status;
    int64_t integer = json_integer_value(found, 0);
    if (integer < minimum || integer > maximum)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: key \"%s\" is %lld, expected %lld to %lld", name, key,
                    (long long)integer, (long long)minimum, (long long)maximum);
    *value = integer;
    return STATUS_OK;
}

Status json_require_number(const Json *object, const char *key, const char *name, double *value, Diagnostic *diagnostic)
{
    const Json *found;
    Status status = require(object, key, name, json_is_number, "a number", &found, diagnostic);
    if (status == STATUS_OK)
        *value = json_number_value(found, 0.0);
    return status;
}

char *json_text(const Json *json, JsonStyle style)
{
    size_t flags = JANSSON_DUMP;
    if (style == JSON_INDENTED)
        flags |= JSON_INDENT(2);
    else
        flags |= JANSSON_COMPACT;
    if (style == JSON_CANONICAL)
        flags |= JSON_SORT_KEYS;
    char *text = json_dumps(inner(json), flags);
    ASSERT(text != NULL);
    return text;
}
