#include "proto/zap.h"

#include <string.h>

static bool frame_is(const ZapFrame *frame, const char *text)
{
    return frame->size == strlen(text) && memcmp(frame->bytes, text, frame->size) == 0;
}

static Status copy_text(const ZapFrame *frame, const char *what, char text[ZAP_TEXT_SIZE], Diagnostic *diagnostic)
{
    if (frame->size >= ZAP_TEXT_SIZE)
        return FAIL(diagnostic, STATUS_INVALID_INPUT, "ZAP: the %s has %zu bytes", what, frame->size);
    for (size_t i = 0; i < frame->size; i++) {
        char byte = ((const char *)frame->bytes)[i];
        text[i] = byte >= 0x20 && byte < 0x7F ? byte : '?';
    }
    text[frame->size] = '\0';
    return STATUS_OK;
}

/* version, request id, domain, address, routing id, mechanism, credentials */
Status zap_parse(ZapRequest *request, const ZapFrame *frames, size_t count, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    memset(request, 0, sizeof *request);
    if (count != 7)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "ZAP: %zu frames, 7 are expected", count);
    if (!frame_is(&frames[0], "1.0"))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "ZAP: another version than 1.0");
    if (frames[1].size > sizeof request->id)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "ZAP: the request id has %zu bytes", frames[1].size);
    if (frames[1].size)
        memcpy(request->id, frames[1].bytes, frames[1].size);
    request->id_size = frames[1].size;
    TRY(copy_text(&frames[2], "domain", request->domain, diagnostic));
    TRY(copy_text(&frames[3], "address", request->address, diagnostic));
    if (!frame_is(&frames[5], "CURVE") || frames[6].size != ZAP_KEY_SIZE)
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "ZAP: no CURVE key");
    memcpy(request->public_key, frames[6].bytes, ZAP_KEY_SIZE);
out:
    return status;
}

static ZapFrame text_frame(const char *text)
{
    return (ZapFrame){text, strlen(text)};
}

/* version, request id, status code, status text, user id, metadata */
void zap_answer(const ZapRequest *request, const char *user, ZapFrame frames[ZAP_REPLY_FRAMES])
{
    frames[0] = text_frame("1.0");
    frames[1] = (ZapFrame){request->id, request->id_size};
    frames[2] = text_frame(user ? "200" : "400");
    frames[3] = text_frame(user ? "OK" : "this key is not allowed here");
    frames[4] = text_frame(user ? user : "");
    frames[5] = text_frame("");
}
