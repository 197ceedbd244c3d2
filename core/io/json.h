/* JSON (RFC 8259) by jansson. Values are reference-free trees owned by their root: destroying the root ends them all; a value that is
 * put into an object or array belongs to it from then on, also on failure. */
#ifndef NERSWEEP_CORE_IO_JSON_H
#define NERSWEEP_CORE_IO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct Json Json;

/* The library beneath has symbols of these names, and so has whatever else is loaded with it: at link time ours are others. */
#define json_object nersweep_json_object
#define json_array nersweep_json_array
#define json_string nersweep_json_string
#define json_integer nersweep_json_integer
#define json_real nersweep_json_real
#define json_null nersweep_json_null
#define json_copy nersweep_json_copy
#define json_string_value nersweep_json_string_value
#define json_integer_value nersweep_json_integer_value
#define json_number_value nersweep_json_number_value

enum { JSON_CONTAINER_LIMIT = 1 << 20, JSON_VALUE_LIMIT = 1 << 22, JSON_DEPTH_LIMIT = 2048 };
/* Parses text; name (a file name) is put into the diagnostic's place together with line and column. What RFC 8259 calls JSON is read, with
 * these exceptions, which are STATUS_INVALID_INPUT: more than JSON_DEPTH_LIMIT levels, keys that are there twice, NUL in strings, half a
 * surrogate pair, integers beyond 64 bits and reals beyond a double; and STATUS_LIMIT for more lists and objects, or values, than above. */
NODISCARD Status json_parse(Json **json, const char *text, size_t size, const char *name, Diagnostic *diagnostic);
NODISCARD Status json_read_file(Json **json, const char *path, size_t size_limit, Diagnostic *diagnostic);
void json_destroy(Json **json); /* roots only; sets *json to NULL */

Json *json_object(void);
Json *json_array(void);
Json *json_string(const char *utf8);                       /* invalid UTF-8 is replaced by U+FFFD */
Json *json_string_bytes(const char *utf8, size_t size);
Json *json_integer(int64_t value);
Json *json_real(double value); /* NaN and infinities become null: JSON has none */
Json *json_boolean(bool value);
Json *json_null(void);
Json *json_copy(const Json *json); /* deep; a new root */

void json_set(Json *object, const char *key, Json *value); /* replaces; keeps the position of an existing key */
void json_append(Json *array, Json *value);

/* Look-ups return NULL when absent or of another kind of container. The result lives as long as its root. */
const Json *json_get(const Json *object, const char *key);
const Json *json_at(const Json *array, size_t index);
size_t json_count(const Json *array_or_object);
/* Keys in the order of insertion (or of the text); index < json_count. Takes time in proportion to index: walk large objects with
 * json_next_key. */
const char *json_key_at(const Json *object, size_t index);
const Json *json_value_at(const Json *object, size_t index);
/* The first key (after NULL) or the one after key, which must be a result of this function; NULL at the end. Same order. */
const char *json_next_key(const Json *object, const char *key);

bool json_is_object(const Json *json);
bool json_is_array(const Json *json);
bool json_is_string(const Json *json);
bool json_is_integer(const Json *json);
bool json_is_number(const Json *json); /* integer or real */
bool json_is_boolean(const Json *json);
bool json_is_null(const Json *json);
const char *json_string_value(const Json *json); /* NULL when no string */
int64_t json_integer_value(const Json *json, int64_t otherwise);
double json_number_value(const Json *json, double otherwise);
bool json_boolean_value(const Json *json, bool otherwise);

/* Required members with a clear error (STATUS_INVALID_INPUT, "NAME: key "x" is missing / is not a ..."). */
NODISCARD Status json_require_string(const Json *object, const char *key, const char *name, const char **value, Diagnostic *diagnostic);
NODISCARD Status json_require_integer(const Json *object, const char *key, const char *name, int64_t minimum, int64_t maximum,
                                      int64_t *value, Diagnostic *diagnostic);
NODISCARD Status json_require_number(const Json *object, const char *key, const char *name, double *value, Diagnostic *diagnostic);

typedef enum JsonStyle {
    JSON_COMPACT,   /* one line */
    JSON_INDENTED,  /* two spaces */
    JSON_CANONICAL, /* one line, keys sorted by bytes: equal values give equal bytes */
} JsonStyle;
/* Reals are written with 17 significant digits so that they read back as the same double. The caller frees the text. */
char *json_text(const Json *json, JsonStyle style);

#endif
