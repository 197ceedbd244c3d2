/* Decoding of truncated, flipped, spliced and random bytes, the same ones in each run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdlib.h>

#include "core/base/philox.h"
#include "proto/endpoint.h"
#include "proto/zap.h"
#include "tests/proto/fixtures.h"

enum { ITERATIONS = 100000 };

typedef struct Random {
    uint32_t count;
} Random;

static uint32_t draw(Random *random, uint32_t bound)
{
    PhiloxBlock block = philox4x32_10(philox_key(11, RANDOM_BOOTSTRAP, 0), random->count++, 0, 0, 0);
    return (uint32_t)philox_uniform_below(block.word[0], block.word[1], bound);
}

/* What a decoder accepted must be whole: it can be encoded again. */
static void try_message(const char *bytes, size_t size, size_t *accepted)
{
    Message message;
    Diagnostic diagnostic = {0};
    Status status = message_decode(&message, bytes, size, &diagnostic);
    if (status == STATUS_OK) {
        Text again = {0};
        assert_int_equal(message_encode(&message, &again, &diagnostic), STATUS_OK);
        text_free(&again);
        message_free(&message);
        ++*accepted;
        return;
    }
    assert_true(status == STATUS_INVALID_INPUT || status == STATUS_MISMATCH);
    assert_true(diagnostic.message[0]);
}

static void try_record(const char *bytes, size_t size)
{
    Record record;
    Diagnostic diagnostic = {0};
    Status status = record_decode(&record, bytes, size, &diagnostic);
    if (status == STATUS_OK) {
        Text again = {0};
        assert_int_equal(record_encode(&record, &again, &diagnostic), STATUS_OK);
        text_free(&again);
        record_free(&record);
        return;
    }
    assert_true(status == STATUS_INVALID_INPUT || status == STATUS_MISMATCH);
}

static void damage(Random *random, const Text *whole, Text *damaged)
{
    text_clear(damaged);
    uint32_t how = draw(random, 4);
    if (how == 0) { /* truncated */
        text_append(damaged, whole->bytes, draw(random, (uint32_t)whole->size + 1));
        return;
    }
    if (how == 1) { /* random */
        uint32_t size = draw(random, 200);
        for (uint32_t i = 0; i < size; i++) {
            char byte = (char)draw(random, 256);
            text_append(damaged, &byte, 1);
        }
        return;
    }
    text_append(damaged, whole->bytes, whole->size);
    if (how == 2) { /* flipped bits */
        uint32_t flips = 1 + draw(random, 4);
        for (uint32_t i = 0; i < flips; i++)
            damaged->bytes[draw(random, (uint32_t)whole->size)] ^= (char)(1u << draw(random, 8));
        return;
    }
    uint32_t from = draw(random, (uint32_t)whole->size); /* a part doubled */
    text_append(damaged, whole->bytes + from, whole->size - from);
}

static void damaged_bytes_are_refused_or_understood_but_never_crash(void **state)
{
    (void)state;
    Text messages[MESSAGE_TYPE_LIMIT] = {0}, records[RECORD_TYPE_LIMIT] = {0}, damaged = {0};
    for (int type = MESSAGE_HELLO; type < MESSAGE_TYPE_LIMIT; type++) {
        Message message = fixture_message((MessageType)type);
        assert_int_equal(message_encode(&message, &messages[type], NULL), STATUS_OK);
        message_free(&message);
    }
    for (int type = RECORD_SWEEP_OPENED; type < RECORD_TYPE_LIMIT; type++) {
        Record record = fixture_record((RecordType)type);
        assert_int_equal(record_encode(&record, &records[type], NULL), STATUS_OK);
        record_free(&record);
    }
    Random random = {0};
    size_t accepted = 0;
    for (int i = 0; i < ITERATIONS; i++) {
        damage(&random, &messages[1 + draw(&random, MESSAGE_TYPE_LIMIT - 1)], &damaged);
        try_message(damaged.bytes ? damaged.bytes : "", damaged.size, &accepted);
        damage(&random, &records[1 + draw(&random, RECORD_TYPE_LIMIT - 1)], &damaged);
        try_record(damaged.bytes ? damaged.bytes : "", damaged.size);
    }
    assert_true(accepted > 0 && accepted < ITERATIONS); /* the damage is neither nothing nor everything */
    for (int type = 0; type < MESSAGE_TYPE_LIMIT; type++)
        text_free(&messages[type]);
    for (int type = 0; type < RECORD_TYPE_LIMIT; type++)
        text_free(&records[type]);
    text_free(&damaged);
}

/* Seven frames in one text, each after a byte with its length. */
static size_t cut_frames(const Text *text, ZapFrame frames[ZAP_FRAME_LIMIT])
{
    size_t count = 0;
    for (size_t at = 0; at < text->size && count < ZAP_FRAME_LIMIT;) {
        size_t size = (uint8_t)text->bytes[at++];
        if (size > text->size - at)
            size = text->size - at;
        frames[count++] = (ZapFrame){text->bytes + at, size};
        at += size;
    }
    return count;
}

static void damaged_files_and_admissions_are_refused_or_whole(void **state)
{
    (void)state;
#define KEY "0123456789012345678901234567890123456789"
    static const char *const seeds[] = {
        "\x3"
        "1.0\x1"
        "7\x8requests\x9"
        "127.0.0.1\x1"
        "x\x5"
        "CURVE\x20"
        "0123456789abcdef0123456789abcdef",
        "{\"address\": \"tcp://h1:5555\", \"feed\": \"tcp://h1:5556\", \"host\": \"h1\", \"pid\": 12, \"epoch\": 3}",
        "{\"role\": \"worker\", \"public\": \"" KEY "\", \"secret\": \"" KEY "\", \"server\": \"" KEY "\"}",
        "{\"worker\": [\"" KEY "\"], \"reader\": [], \"operator\": []}",
    };
#undef KEY
    static AllowList list;
    Random random = {.count = 1u << 30};
    Text whole = {0}, damaged = {0};
    size_t accepted[4] = {0};
    for (int i = 0; i < ITERATIONS; i++) {
        int kind = i % 4;
        ZapFrame frames[ZAP_FRAME_LIMIT];
        ZapRequest request;
        Endpoint endpoint;
        ClientKey key;
        Status status;
        Diagnostic diagnostic = {0};
        text_clear(&whole);
        text_append_string(&whole, seeds[kind]);
        damage(&random, &whole, &damaged);
        text_append(&damaged, "", 0);
        if (kind == 0)
            status = zap_parse(&request, frames, cut_frames(&damaged, frames), &diagnostic);
        else if (kind == 1)
            status = endpoint_parse(&endpoint, damaged.bytes, damaged.size, "endpoint.json", &diagnostic);
        else if (kind == 2)
            status = client_key_parse(&key, damaged.bytes, damaged.size, "my.key", &diagnostic);
        else
            status = allow_list_parse(&list, damaged.bytes, damaged.size, "allowed.json", &diagnostic);
        accepted[kind] += status == STATUS_OK;
        assert_true(status == STATUS_OK || status == STATUS_INVALID_INPUT);
        assert_true(status == STATUS_OK || diagnostic.message[0]);
        if (kind == 2 && status == STATUS_OK)
            assert_int_equal(strlen(key.pair.secret_key), KEY_TEXT_SIZE - 1);
    }
    for (int kind = 0; kind < 4; kind++)
        assert_in_range(accepted[kind], 1, ITERATIONS / 4 - 1);
    text_free(&whole);
    text_free(&damaged);
}

/* Two bytes on the wire for an empty data set, a hundred in memory: it must stop at the limit instead of filling the machine. */
static void a_small_frame_cannot_ask_for_much_memory(void **state)
{
    (void)state;
    enum { EMPTY_SETS = 3 * 1000 * 1000 };
    Text body = {0}, frame = {0};
    for (int i = 0; i < EMPTY_SETS; i++)
        text_append(&body, "\x42\x00", 2);          /* Report.datasets = field 8, length 0 */
    text_append(&frame, "\x08\x01\x10\x06\x22", 5); /* version 1, type REPORT, body */
    for (size_t rest = body.size; rest; rest >>= 7) {
        char byte = (char)((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
        text_append(&frame, &byte, 1);
    }
    text_append(&frame, body.bytes, body.size);
    Message message;
    assert_int_equal(message_decode(&message, frame.bytes, frame.size, NULL), STATUS_INVALID_INPUT);
    text_free(&body);
    text_free(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_bytes_are_refused_or_understood_but_never_crash),
        cmocka_unit_test(damaged_files_and_admissions_are_refused_or_whole),
        cmocka_unit_test(a_small_frame_cannot_ask_for_much_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
