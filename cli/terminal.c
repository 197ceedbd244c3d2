#include "cli/terminal.h"

#include <locale.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static const char replacement[] = "\xEF\xBF\xBD", ellipsis[] = "\xE2\x80\xA6";

int terminal_width(FILE *stream)
{
    struct winsize size;
    if (!isatty(fileno(stream)))
        return 0;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* The classes of Unicode, whatever the user's language is. */
static locale_t unicode_begin(locale_t *made)
{
    *made = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return *made ? uselocale(*made) : (locale_t)0;
}

static void unicode_end(locale_t made, locale_t before)
{
    if (!made)
        return;
    uselocale(before);
    freelocale(made);
}

/* Columns of the character that begins here, its bytes in *size. Negative: nothing that a terminal should get. */
static int character(const char *text, size_t available, size_t *size)
{
    mbstate_t state = {0};
    wchar_t code = 0;
    size_t length = mbrtowc(&code, text, available, &state);
    *size = length == 0 || length > available ? 1 : length;
    if (length == 0 || length > available)
        return -1;
    /* Characters that turn the direction of writing would show the row in another order than it is. */
    if ((code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069))
        return -1;
    return wcwidth(code);
}

int terminal_columns(const char *text)
{
    locale_t made, before = unicode_begin(&made);
    int columns = 0;
    size_t length;
    for (size_t left = strlen(text); left > 0; left -= length, text += length) {
        int width = character(text, left, &length);
        columns += width < 0 ? 1 : width;
    }
    unicode_end(made, before);
    return columns;
}

void terminal_append(Text *to, const char *text, int columns)
{
    bool cut = columns > 0 && terminal_columns(text) > columns;
    locale_t made, before = unicode_begin(&made);
    int used = 0, room = cut ? columns - 1 : 0;
    size_t length;
    for (size_t left = strlen(text); left > 0; left -= length, text += length) {
        int width = character(text, left, &length);
        if (cut && used + (width < 0 ? 1 : width) > room)
            break;
        used += width < 0 ? 1 : width;
        if (width < 0)
            text_append_string(to, replacement);
        else
            text_append(to, text, length);
    }
    if (cut)
        text_append_string(to, ellipsis);
    unicode_end(made, before);
}
