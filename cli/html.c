#include "cli/html.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--page:#fff;--ink:#1b1f24;--soft:#59636e;--line:#d5dae0;--mark:#c2255c;"
    "--s0:#1f6feb;--s1:#d9730d;--s2:#2b8a3e;--s3:#8250df;--s4:#0b7285;--s5:#b02a37;--s6:#7a5c00;--s7:#5f3dc4}\n"
    "@media (prefers-color-scheme:dark){:root{--page:#14171b;--ink:#e6e9ed;--soft:#9aa4af;--line:#343b43;--mark:#ff7eb0;"
    "--s0:#6ea8fe;--s1:#ffa94d;--s2:#69db7c;--s3:#c4a5ff;--s4:#3bc9db;--s5:#ff8787;--s6:#e6c34a;--s7:#b197fc}}\n"
    "body{background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 "
    "1rem}\n"
    "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}p{color:var(--soft)}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.6rem 0}"
    "th,td{padding:.15rem .8rem .15rem 0;border-bottom:1px solid var(--line);text-align:right;unicode-bidi:isolate}"
    "th:first-child{text-align:left;font-weight:normal;overflow-wrap:anywhere;max-width:24rem}thead "
    "th{font-weight:600;vertical-align:bottom}"
    "tr.part th{font-weight:600;padding-top:.8rem}.wide{overflow-x:auto}\n"
    "svg{display:block;width:100%;max-width:760px;height:auto;margin:1rem 0;font:12px system-ui,sans-serif}"
    "svg text{fill:var(--ink);unicode-bidi:isolate}svg .soft{fill:var(--soft)}svg .name{font-weight:600;font-size:14px}"
    "svg .axis{stroke:var(--soft);fill:none}svg .grid{stroke:var(--line);fill:none}"
    "svg .mark{stroke:var(--mark);stroke-dasharray:6 3;stroke-width:1.5}svg text.marked{fill:var(--mark)}"
    "svg .steps{fill-opacity:.14;stroke-width:1.8}\n";

void html_escape(Text *page, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        switch (byte) {
        case '&':
            text_append_string(page, "&amp;");
            break;
        case '<':
            text_append_string(page, "&lt;");
            break;
        case '>':
            text_append_string(page, "&gt;");
            break;
        case '"':
            text_append_string(page, "&quot;");
            break;
        case '\'':
            text_append_string(page, "&#39;");
            break;
        default:
            if (byte == 0x7F || (byte < 0x20 && byte != '\t' && byte != '\n'))
                text_append_string(page, "\xEF\xBF\xBD");
            else
                text_append(page, text, 1);
        }
    }
}

void html_begin(Text *page, const char *title)
{
    text_append_string(page,
                       "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    html_escape(page, title);
    text_append_string(page, "</title>\n<style>\n");
    text_append_string(page, style);
    for (int i = 0; i < HTML_SERIES_LIMIT; i++)
        text_format(page, "svg .s%d{fill:var(--s%d);stroke:var(--s%d)}\n", i, i, i);
    text_append_string(page, "</style>\n</head>\n<body>\n<main>\n<h1>");
    html_escape(page, title);
    text_append_string(page, "</h1>\n");
}

void html_end(Text *page)
{
    text_append_string(page, "</main>\n</body>\n</html>\n");
}

void html_heading(Text *page, const char *text)
{
    text_append_string(page, "<h2>");
    html_escape(page, text);
    text_append_string(page, "</h2>\n");
}

void html_paragraph(Text *page, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_append_string(page, "<p>");
    html_escape(page, text);
    text_append_string(page, "</p>\n");
}
