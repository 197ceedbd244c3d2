#include "core/options/freeze.h"

#include <stdio.h>
#include <string.h>

#include "core/options/number.h"

enum { LAYER_LIMIT = 1024, QUOTED_LIMIT = 200 };

/* Where the parser stands; every complaint names the character. */
typedef struct Cursor {
    const char *text;
    size_t at;
    Diagnostic *diagnostic;
} Cursor;

#define COMPLAIN(cursor, position, format, ...)                                                                              \
    FAIL_AT((cursor)->diagnostic, STATUS_INVALID_INPUT, NULL, 0, (long)(position) + 1, "\"%.*s\": at character %zu " format, \
            QUOTED_LIMIT, (cursor)->text, (size_t)(position) + 1, __VA_ARGS__)

static const char part_forms[] = "\"embeddings\", \"embeddings+K\" or \"K\" (the first K encoder layers)";

/* K: the first K encoder layers. */
static Status parse_layers(Cursor *cursor, int32_t *layers)
{
    size_t digits = strspn(cursor->text + cursor->at, "0123456789");
    int64_t value = 0;
    for (size_t i = 0; i < digits && value <= LAYER_LIMIT; i++)
        value = value * 10 + (cursor->text[cursor->at + i] - '0');
    if (digits == 0 || value < 1 || value > LAYER_LIMIT)
        return COMPLAIN(cursor, cursor->at, "a number of encoder layers from 1 to %d is wanted", LAYER_LIMIT);
    *layers = (int32_t)value;
    cursor->at += digits;
    return STATUS_OK;
}

static Status parse_part(Cursor *cursor, FreezePhase *phase)
{
    static const char embeddings[] = "embeddings";
    const char *rest = cursor->text + cursor->at;
    if (strncmp(rest, embeddings, sizeof embeddings - 1) == 0) {
        phase->embeddings = true;
        cursor->at += sizeof embeddings - 1;
        if (cursor->text[cursor->at] != '+')
            return STATUS_OK;
        cursor->at++;
        return parse_layers(cursor, &phase->layers);
    }
    if (*rest < '0' || *rest > '9')
        return COMPLAIN(cursor, cursor->at, "%s is wanted", part_forms);
    return parse_layers(cursor, &phase->layers);
}

static Status parse_epochs(Cursor *cursor, FreezePhase *phase)
{
    char number[64];
    size_t size = number_scan_real(cursor->text + cursor->at);
    if (size == 0 || size >= sizeof number)
        return COMPLAIN(cursor, cursor->at, "%s", "a number of epochs is wanted, e.g. 1 or 0.5");
    memcpy(number, cursor->text + cursor->at, size);
    number[size] = '\0';
    if (!number_parse_real(number, &phase->until_epochs) || phase->until_epochs <= 0)
        return COMPLAIN(cursor, cursor->at, "%s is not a number of epochs above 0", number);
    cursor->at += size;
    return STATUS_OK;
}

/* Thawed parts never freeze again, and phases follow each other in time. */
static Status check_order(const Cursor *cursor, const FreezePhase *before, const FreezePhase *phase, size_t part_at,
                          size_t epochs_at)
{
    if ((phase->embeddings && !before->embeddings) || phase->layers > before->layers)
        return COMPLAIN(cursor, part_at, "%s",
                        "something freezes that the phase before has thawed; a later phase may only freeze part of an earlier one");
    if (phase->until_epochs <= before->until_epochs)
        return COMPLAIN(cursor, epochs_at, "%s", "the epochs must rise from phase to phase");
    return STATUS_OK;
}

static Status parse_phase(Cursor *cursor, FreezeSchedule *schedule)
{
    Status status = STATUS_OK;
    FreezePhase phase = {0};
    size_t part_at = cursor->at;
    if (schedule->phase_count == FREEZE_PHASE_LIMIT)
        TRY_FAIL(cursor->diagnostic, STATUS_INVALID_INPUT, "more than %d freezing phases", FREEZE_PHASE_LIMIT);
    TRY(parse_part(cursor, &phase));
    if (cursor->text[cursor->at] != '@') {
        status = COMPLAIN(cursor, cursor->at, "%s", "\"@\" and the number of epochs are wanted");
        goto out;
    }
    size_t epochs_at = ++cursor->at;
    TRY(parse_epochs(cursor, &phase));
    if (schedule->phase_count > 0)
        TRY(check_order(cursor, &schedule->phases[schedule->phase_count - 1], &phase, part_at, epochs_at));
    schedule->phases[schedule->phase_count++] = phase;
out:
    return status;
}

Status freeze_schedule_parse(FreezeSchedule *schedule, const char *text, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    FreezeSchedule parsed = {0};
    Cursor cursor = {.text = text, .diagnostic = diagnostic};
    if (strcmp(text, "none") != 0) {
        for (;;) {
            TRY(parse_phase(&cursor, &parsed));
            if (text[cursor.at] == '\0')
                break;
            if (text[cursor.at] != ';') {
                status = COMPLAIN(&cursor, cursor.at, "%s", "\";\" and another phase, or the end, is wanted");
                goto out;
            }
            cursor.at++;
        }
    }
    *schedule = parsed;
out:
    return status;
}

char *freeze_schedule_format(const FreezeSchedule *schedule, char *text, size_t text_size)
{
    size_t used = 0;
    ASSERT(text_size > 0);
    text[0] = '\0';
    for (int32_t i = 0; i < schedule->phase_count; i++) {
        const FreezePhase *phase = &schedule->phases[i];
        char epochs[NUMBER_TEXT_SIZE], layers[16] = "";
        if (phase->layers > 0)
            snprintf(layers, sizeof layers, "%s%d", phase->embeddings ? "+" : "", phase->layers);
        int written = snprintf(text + used, text_size - used, "%s%s%s@%s", i > 0 ? ";" : "", phase->embeddings ? "embeddings" : "",
                               layers, number_format_real(phase->until_epochs, epochs));
        ASSERT(written > 0 && (size_t)written < text_size - used);
        used += (size_t)written;
    }
    if (schedule->phase_count == 0) {
        ASSERT(text_size > strlen("none"));
        strcpy(text, "none");
    }
    return text;
}

const FreezePhase *freeze_schedule_at(const FreezeSchedule *schedule, double epochs)
{
    for (int32_t i = 0; i < schedule->phase_count; i++)
        if (epochs < schedule->phases[i].until_epochs)
            return &schedule->phases[i];
    return NULL;
}
