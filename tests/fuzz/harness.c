#include "tests/fuzz/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/file.h"

static char *folder;

static void folder_remove(void)
{
    Status status = folder_remove_tree(folder, NULL);
    ASSERT(status == STATUS_OK);
    free(folder);
    folder = NULL;
}

const char *fuzz_folder(void)
{
    if (folder)
        return folder;
    const char *given = getenv("TMPDIR");
    folder = memory_format("%s/nersweep-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : given ? given : "/tmp");
    ASSERT(mkdtemp(folder) != NULL);
    atexit(folder_remove);
    log_set_level(LOG_SILENT);
    return folder;
}

char *fuzz_write(const char *name, const void *bytes, size_t size)
{
    char *path = path_join(fuzz_folder(), name);
    FILE *file = fopen(path, "wb");
    ASSERT(file != NULL);
    ASSERT(fwrite(bytes, 1, size, file) == size);
    ASSERT(fclose(file) == 0);
    return path;
}

void fuzz_check_refusal(Status status, const Diagnostic *diagnostic, const char *path)
{
    ASSERT(status != STATUS_OK && status != STATUS_INTERNAL && status == diagnostic->code);
    ASSERT(diagnostic->message[0] != '\0');
    ASSERT(strchr(diagnostic->message, '\n') == NULL);
    ASSERT(fuzz_is_utf8((const uint8_t *)diagnostic->message, strlen(diagnostic->message)));
    ASSERT(strncmp(diagnostic->input_file, path, strlen(path)) == 0 || strstr(diagnostic->message, path));
}

void fuzz_check_refused_line(Status status, const Diagnostic *diagnostic, const char *path)
{
    fuzz_check_refusal(status, diagnostic, path);
    ASSERT(strcmp(diagnostic->input_file, path) == 0);
    ASSERT(diagnostic->input_line >= 1 && diagnostic->input_column >= 0);
}

static size_t encode(uint32_t code_point, uint8_t *bytes)
{
    size_t size = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size; i-- > 1; code_point >>= 6)
        bytes[i] = (uint8_t)(0x80 | (code_point & 0x3F));
    bytes[0] = (uint8_t)(leads[size] | code_point);
    return size;
}

bool fuzz_is_utf8(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t length = 1;
        while (length < 4 && at + length < size && (bytes[at + length] & 0xC0) == 0x80)
            length++;
        bool found = false;
        for (size_t taken = length; taken >= 1 && !found; taken--) {
            static const uint8_t masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
            uint32_t code_point = bytes[at] & masks[taken];
            for (size_t i = 1; i < taken; i++)
                code_point = code_point << 6 | (bytes[at + i] & 0x3F);
            uint8_t again[4];
            found = code_point < 0x110000 && (code_point < 0xD800 || code_point > 0xDFFF) && encode(code_point, again) == taken &&
                    memcmp(again, bytes + at, taken) == 0;
            length = found ? taken : length;
        }
        if (!found)
            return false;
        at += length;
    }
    return true;
}
