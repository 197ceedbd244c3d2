/* Everything that looks at UTF-8 agrees with the oracle. */
#include <stdlib.h>
#include <string.h>

#include "core/io/json.h"
#include "shard/corpus_lines.h"
#include "shard/unicode.h"
#include "tests/fuzz/harness.h"

/* A string with the bytes in it; nothing in them has a meaning of its own. */
static void check_json(const char *bytes, size_t size, bool valid)
{
    Text text = {0};
    Json *json = NULL;
    text_append_string(&text, "\"");
    for (size_t i = 0; i < size; i++)
        text_append(&text, (unsigned char)bytes[i] < ' ' || bytes[i] == '"' || bytes[i] == '\\' ? "." : bytes + i, 1);
    text_append_string(&text, "\"");
    ASSERT((json_parse(&json, text.bytes, text.size, "text", NULL) == STATUS_OK) == valid);
    ASSERT(!valid || strncmp(json_string_value(json), text.bytes + 1, size) == 0);
    json_destroy(&json);
    text_free(&text);
    json = json_string_bytes(bytes, size);
    const char *made = json_string_value(json);
    ASSERT(fuzz_is_utf8((const uint8_t *)made, strlen(made)));
    ASSERT(!valid || memchr(bytes, '\0', size) || (strlen(made) == size && memcmp(made, bytes, size) == 0));
    json_destroy(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *text = (const char *)bytes;
    size_t prefix = utf8_valid_prefix(text, size);
    ASSERT(prefix <= size && fuzz_is_utf8(bytes, prefix));
    bool valid = fuzz_is_utf8(bytes, size), nul = size > 0 && memchr(bytes, 0, size) != NULL;
    ASSERT((prefix == size) == valid);
    ptrdiff_t invalid = corpus_invalid_utf8(text, size);
    ASSERT((invalid < 0) == (valid && !nul));
    ASSERT(invalid < 0 || bytes[invalid] == 0 || (size_t)invalid == prefix);
    check_json(size > 0 ? text : "", size, valid);
    return 0;
}
