/* One decoder of what comes over the network or lies in a journal each, chosen by FUZZ_DECODER: whatever is accepted is whole, and the same after
 * being written and read again. */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "proto/endpoint.h"
#include "proto/records.h"
#include "proto/zap.h"
#include "tests/fuzz/harness.h"

static void check_refusal(Status status, const Diagnostic *diagnostic)
{
    ASSERT(status == STATUS_INVALID_INPUT || status == STATUS_MISMATCH || status == STATUS_LIMIT);
    ASSERT(status == diagnostic->code && diagnostic->message[0]);
}

static void try_message(const uint8_t *bytes, size_t size)
{
    Message message, again;
    Text text = {0}, text_again = {0};
    Diagnostic diagnostic = {0};
    Status status = message_decode(&message, bytes, size, &diagnostic);
    if (status != STATUS_OK) {
        check_refusal(status, &diagnostic);
        return;
    }
    ASSERT(message_encode(&message, &text, &diagnostic) == STATUS_OK);
    ASSERT(message_decode(&again, text.bytes, text.size, &diagnostic) == STATUS_OK);
    ASSERT(message_encode(&again, &text_again, &diagnostic) == STATUS_OK);
    ASSERT(text.size == text_again.size && memcmp(text.bytes, text_again.bytes, text.size) == 0);
    message_free(&message);
    message_free(&again);
    text_free(&text);
    text_free(&text_again);
}

static void try_record(const uint8_t *bytes, size_t size)
{
    Record record, again;
    Text text = {0}, text_again = {0};
    Diagnostic diagnostic = {0};
    Status status = record_decode(&record, bytes, size, &diagnostic);
    if (status != STATUS_OK) {
        check_refusal(status, &diagnostic);
        return;
    }
    ASSERT(record_encode(&record, &text, &diagnostic) == STATUS_OK);
    ASSERT(record_decode(&again, text.bytes, text.size, &diagnostic) == STATUS_OK);
    ASSERT(record_encode(&again, &text_again, &diagnostic) == STATUS_OK);
    ASSERT(text.size == text_again.size && memcmp(text.bytes, text_again.bytes, text.size) == 0);
    record_free(&record);
    record_free(&again);
    text_free(&text);
    text_free(&text_again);
}

/* Frames as the input cuts them: a byte with a length before each. */
static void try_zap(const uint8_t *bytes, size_t size)
{
    ZapFrame frames[ZAP_FRAME_LIMIT], answer[ZAP_REPLY_FRAMES];
    ZapRequest request;
    Diagnostic diagnostic = {0};
    size_t count = 0;
    while (size > 0 && count < ZAP_FRAME_LIMIT) {
        size_t wanted = *bytes++;
        size--;
        frames[count++] = (ZapFrame){bytes, wanted < size ? wanted : size};
        bytes += frames[count - 1].size;
        size -= frames[count - 1].size;
    }
    Status status = zap_parse(&request, frames, count, &diagnostic);
    if (status != STATUS_OK)
        check_refusal(status, &diagnostic);
    ASSERT(memchr(request.domain, '\0', sizeof request.domain) && memchr(request.address, '\0', sizeof request.address));
    zap_answer(&request, status == STATUS_OK ? "user" : NULL, answer);
    ASSERT(memcmp(answer[2].bytes, status == STATUS_OK ? "200" : "400", 3) == 0);
    ASSERT(status != STATUS_OK ||
           (answer[1].size == frames[1].size && memcmp(answer[1].bytes, frames[1].bytes, frames[1].size) == 0));
}

static void try_endpoint(const uint8_t *bytes, size_t size)
{
    Endpoint endpoint;
    Diagnostic diagnostic = {0};
    Status status = endpoint_parse(&endpoint, (const char *)bytes, size, "endpoint.json", &diagnostic);
    if (status != STATUS_OK)
        check_refusal(status, &diagnostic);
    else
        ASSERT(endpoint.pid > 0 && endpoint.epoch > 0);
    (void)socket_address_is_local(endpoint.address);
}

static void try_key(const uint8_t *bytes, size_t size)
{
    ClientKey key;
    Diagnostic diagnostic = {0};
    Status status = client_key_parse(&key, (const char *)bytes, size, "my.key", &diagnostic);
    if (status != STATUS_OK)
        check_refusal(status, &diagnostic);
    else
        ASSERT(strlen(key.server_key) == KEY_TEXT_SIZE - 1 && strlen(key.pair.secret_key) == KEY_TEXT_SIZE - 1);
}

static void try_list(const uint8_t *bytes, size_t size)
{
    static AllowList list;
    Diagnostic diagnostic = {0};
    Status status = allow_list_parse(&list, (const char *)bytes, size, "allowed.json", &diagnostic);
    if (status != STATUS_OK)
        check_refusal(status, &diagnostic);
    for (size_t i = 0; i < list.count; i++)
        ASSERT(allow_list_role(&list, list.items[i].public_key) == list.items[i].role);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const decoders[])(const uint8_t *, size_t) = {try_message, try_record, try_zap, try_endpoint, try_key, try_list};
    log_set_level(LOG_SILENT);
    decoders[FUZZ_DECODER](bytes, size);
    return 0;
}
