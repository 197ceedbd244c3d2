#include "core/options/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/status.h"

/* strtod and printf follow the thread's locale; this switches to "C" and back without touching what other threads see. */
typedef struct PlainLocale {
    locale_t plain, before;
} PlainLocale;

static PlainLocale locale_enter_plain(void)
{
    PlainLocale locale = {.plain = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
    ASSERT(locale.plain != (locale_t)0);
    locale.before = uselocale(locale.plain);
    return locale;
}

static void locale_leave_plain(PlainLocale *locale)
{
    uselocale(locale->before);
    freelocale(locale->plain);
}

static size_t scan_digits(const char *text)
{
    return strspn(text, "0123456789");
}

static size_t scan_sign(const char *text)
{
    return *text == '+' || *text == '-' ? 1 : 0;
}

size_t number_scan_real(const char *text)
{
    size_t at = scan_sign(text);
    size_t whole = scan_digits(text + at), fraction = 0;
    at += whole;
    if (text[at] == '.') {
        fraction = scan_digits(text + at + 1);
        if (whole + fraction > 0)
            at += 1 + fraction;
    }
    if (whole + fraction == 0)
        return 0;
    if (text[at] == 'e' || text[at] == 'E') {
        size_t sign = scan_sign(text + at + 1), exponent = scan_digits(text + at + 1 + sign);
        if (exponent > 0)
            at += 1 + sign + exponent;
    }
    return at;
}

bool number_parse_real(const char *text, double *value)
{
    size_t size = number_scan_real(text);
    if (size == 0 || text[size] != '\0')
        return false;
    PlainLocale locale = locale_enter_plain();
    double parsed = strtod(text, NULL);
    locale_leave_plain(&locale);
    if (!isfinite(parsed))
        return false;
    *value = parsed == 0 ? 0 : parsed; /* no negative zero: equal values must give equal bytes */
    return true;
}

/* Sign and digits, nothing else. */
static bool is_integer(const char *text)
{
    size_t at = scan_sign(text), digits = scan_digits(text + at);
    return digits > 0 && text[at + digits] == '\0';
}

bool number_parse_integer(const char *text, int64_t *value)
{
    if (!is_integer(text))
        return false;
    errno = 0;
    long long parsed = strtoll(text, NULL, 10);
    if (errno == ERANGE)
        return false;
    *value = parsed;
    return true;
}

bool number_parse_unsigned(const char *text, uint64_t *value)
{
    if (!is_integer(text) || *text == '-') /* strtoull would wrap it around */
        return false;
    errno = 0;
    unsigned long long parsed = strtoull(text, NULL, 10);
    if (errno == ERANGE)
        return false;
    *value = parsed;
    return true;
}

bool number_parse_bytes(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    size_t length = number_scan_real(text);
    const char *unit = text + length, *known = *unit ? strchr(units, *unit) : NULL;
    char number[NUMBER_TEXT_SIZE];
    double value, scale = 1;
    if (length == 0 || length >= sizeof number)
        return false;
    for (const char *at = units; known && at <= known; at++)
        scale *= 1024;
    const char *rest = known ? unit + 1 : unit;
    if (*rest && strcmp(rest, "B") != 0 && !(known && strcmp(rest, "iB") == 0))
        return false;
    memcpy(number, text, length);
    number[length] = '\0';
    if (!number_parse_real(number, &value) || !(value * scale >= 1) || !(value * scale < 9223372036854775808.0))
        return false;
    *bytes = (uint64_t)(value * scale);
    return true;
}

/* The decimal digits of a number: digits[0].digits[1]digits[2]... * 10^exponent. */
typedef struct Decimal {
    char digits[NUMBER_TEXT_SIZE];
    int count;
    int exponent;
} Decimal;

static void put(char text[NUMBER_TEXT_SIZE], char c)
{
    size_t length = strlen(text);
    ASSERT(length + 1 < NUMBER_TEXT_SIZE);
    text[length] = c;
    text[length + 1] = '\0';
}

/* Puts digits `from` to `to`; places beyond the known ones are zeros. */
static void put_digits(char text[NUMBER_TEXT_SIZE], const Decimal *decimal, int from, int to)
{
    for (int i = from; i < to; i++)
        put(text, i >= 0 && i < decimal->count ? decimal->digits[i] : '0');
}

/* Appends the number as people write numbers of that size. */
static void set_out(const Decimal *decimal, char text[NUMBER_TEXT_SIZE])
{
    bool scientific = decimal->exponent < -4 || decimal->exponent > 15;
    int whole = scientific ? 1 : decimal->exponent + 1; /* digits before the point; below 1: minus the zeros after it */
    put_digits(text, decimal, whole < 1 ? -1 : 0, whole < 1 ? 0 : whole);
    if (decimal->count > whole) {
        put(text, '.');
        put_digits(text, decimal, whole, decimal->count);
    }
    if (scientific) {
        size_t length = strlen(text);
        snprintf(text + length, NUMBER_TEXT_SIZE - length, "e%d", decimal->exponent);
    }
}

char *number_format_real(double value, char text[NUMBER_TEXT_SIZE])
{
    ASSERT(isfinite(value));
    if (value == 0)
        return strcpy(text, "0");
    char scientific[NUMBER_TEXT_SIZE];
    PlainLocale locale = locale_enter_plain();
    for (int precision = 0; precision < 17; precision++) { /* 17 significant digits always read back */
        snprintf(scientific, sizeof scientific, "%.*e", precision, fabs(value));
        if (strtod(scientific, NULL) == fabs(value))
            break;
    }
    locale_leave_plain(&locale);

    const char *exponent = strchr(scientific, 'e');
    ASSERT(exponent);
    Decimal decimal = {.exponent = atoi(exponent + 1)};
    for (const char *at = scientific; at < exponent; at++)
        if (*at != '.')
            decimal.digits[decimal.count++] = *at;
    text[0] = '\0';
    if (value < 0)
        put(text, '-');
    set_out(&decimal, text);
    return text;
}
