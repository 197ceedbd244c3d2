/* Writes one well-filled input of each kind for the harness protocol_fuzz.c.
 *
 * usage: protocol_seeds FOLDER */
#include <stdlib.h>

#include "core/io/file.h"
#include "tests/proto/fixtures.h"

#define KEY "0123456789012345678901234567890123456789"

static void write_seed(const char *folder, const char *kind, int number, const char *bytes, size_t size)
{
    char *path = memory_format("%s/%s", folder, kind), *name = memory_format("%s/%d", path, number);
    ASSERT(folder_create(file_system_posix(), path, NULL) == STATUS_OK);
    ASSERT(file_write_durable(file_system_posix(), name, bytes, size, NULL) == STATUS_OK);
    free(name);
    free(path);
}

int main(int argc, char **argv)
{
    static const char zap[] = "\x3"
                              "1.0\x1"
                              "7\x8requests\x9"
                              "127.0.0.1\0\x5"
                              "CURVE\x20"
                              "0123456789abcdef0123456789abcdef";
    static const char endpoint[] = "{\"address\": \"tcp://h1:5555\", \"feed\": \"tcp://h1:5556\", \"host\": \"h1\", \"pid\": 12, "
                                   "\"epoch\": 3, \"server_key\": \"" KEY "\"}";
    static const char key[] = "{\"role\": \"worker\", \"public\": \"" KEY "\", \"secret\": \"" KEY "\", \"server\": \"" KEY "\"}";
    static const char list[] = "{\"worker\": [\"" KEY "\"], \"reader\": [], \"operator\": []}";
    if (argc != 2)
        return 2;
    for (int type = MESSAGE_HELLO; type < MESSAGE_TYPE_LIMIT; type++) {
        Text bytes = {0};
        Message message = fixture_message((MessageType)type);
        ASSERT(message_encode(&message, &bytes, NULL) == STATUS_OK);
        write_seed(argv[1], "message", type, bytes.bytes, bytes.size);
        message_free(&message);
        text_free(&bytes);
    }
    for (int type = RECORD_SWEEP_OPENED; type < RECORD_TYPE_LIMIT; type++) {
        Text bytes = {0};
        Record record = fixture_record((RecordType)type);
        ASSERT(record_encode(&record, &bytes, NULL) == STATUS_OK);
        write_seed(argv[1], "record", type, bytes.bytes, bytes.size);
        record_free(&record);
        text_free(&bytes);
    }
    write_seed(argv[1], "zap", 0, zap, sizeof zap - 1);
    write_seed(argv[1], "endpoint", 0, endpoint, sizeof endpoint - 1);
    write_seed(argv[1], "key", 0, key, sizeof key - 1);
    write_seed(argv[1], "list", 0, list, sizeof list - 1);
    return 0;
}
