#include "core/io/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/memory.h"

enum {
    HEADER_NAME_SIZE = 64,
    HEADER_VALUE_SIZE = 2048,
    HEADER_COUNT_LIMIT = 500,
    URL_LIMIT = 16 * 1024,
    RETRY_AFTER_LIMIT_S = 24 * 3600
};

struct HttpClient {
    CURL *curl;
    HttpSettings settings;
};

/* What the callbacks of one hop share. */
typedef struct Transfer {
    const HttpClient *client;
    const HttpSink *sink;
    HttpAnswer *answer;
    Diagnostic *diagnostic;
    Status sink_status;
    int header_count;
    bool failed_in_sink;
    char error[CURL_ERROR_SIZE]; /* what the library says, in more words than its code has */
} Transfer;

Status http_client_create(HttpClient **client, const HttpSettings *settings, Diagnostic *diagnostic)
{
    *client = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return FAIL(diagnostic, STATUS_INTERNAL, "the HTTP library could not be started");
    CURL *curl = curl_easy_init();
    if (!curl) {
        curl_global_cleanup();
        return FAIL(diagnostic, STATUS_INTERNAL, "the HTTP library could not be started");
    }
    *client = memory_allocate(1, sizeof **client);
    **client = (HttpClient){.curl = curl, .settings = *settings};
    return STATUS_OK;
}

void http_client_destroy(HttpClient **client)
{
    if (!*client)
        return;
    curl_easy_cleanup((*client)->curl);
    curl_global_cleanup();
    free(*client);
    *client = NULL;
}

/* -- headers */

static bool parse_number(const char **text, uint64_t *number)
{
    const char *at = *text;
    *number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (*number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    bool found = at != *text;
    *text = at;
    return found;
}

/* "bytes 5-9/10", "bytes 5-9/" and a star, or a star for the range. */
static void read_content_range(HttpAnswer *answer, const char *value)
{
    uint64_t last;
    if (strncasecmp(value, "bytes", 5) != 0)
        return;
    value += 5;
    value += strspn(value, " ");
    answer->range_known = true;
    if (*value == '*') {
        value++;
    } else {
        if (!parse_number(&value, &answer->range_start) || *value++ != '-' || !parse_number(&value, &last))
            return;
        answer->range_start_known = last >= answer->range_start;
    }
    if (*value++ == '/')
        answer->range_total_known = parse_number(&value, &answer->range_total);
}

static void read_header(Transfer *transfer, const char *name, const char *value)
{
    HttpAnswer *answer = transfer->answer;
    const char *at = value;
    uint64_t number;
    if (strcmp(name, "content-length") == 0)
        answer->content_length_known = parse_number(&at, &answer->content_length) && *at == '\0';
    else if (strcmp(name, "content-range") == 0)
        read_content_range(answer, value);
    else if (strcmp(name, "transfer-encoding") == 0)
        answer->chunked = strcasecmp(value, "chunked") == 0;
    else if (strcmp(name, "retry-after") == 0 && parse_number(&at, &number))
        answer->retry_after_s = number < RETRY_AFTER_LIMIT_S ? (int)number : RETRY_AFTER_LIMIT_S;
    if (transfer->sink->header)
        transfer->sink->header(transfer->sink->context, answer->redirects, name, value);
}

/* A status line: what was said before (100 Continue) is not the answer. */
static void begin_answer(HttpAnswer *answer)
{
    *answer = (HttpAnswer){.redirects = answer->redirects};
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    Transfer *transfer = context;
    char name[HEADER_NAME_SIZE], value[HEADER_VALUE_SIZE];
    size_t total = size * count, end = total;
    if (total >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
        begin_answer(transfer->answer);
    const char *colon = memchr(bytes, ':', total);
    if (++transfer->header_count > HEADER_COUNT_LIMIT)
        return 0;
    if (!colon || (size_t)(colon - bytes) >= sizeof name)
        return total;
    size_t name_size = (size_t)(colon - bytes), start = name_size + 1;
    for (size_t i = 0; i < name_size; i++)
        name[i] = (char)tolower((unsigned char)bytes[i]);
    name[name_size] = '\0';
    while (start < end && (bytes[start] == ' ' || bytes[start] == '\t'))
        start++;
    while (end > start && isspace((unsigned char)bytes[end - 1]))
        end--;
    if (end - start >= sizeof value)
        return total;
    memcpy(value, bytes + start, end - start);
    value[end - start] = '\0';
    if (!memchr(bytes + start, '\0', end - start))
        read_header(transfer, name, value);
    return total;
}

/* -- body */

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    Transfer *transfer = context;
    size_t total = size * count;
    long code = 0;
    curl_easy_getinfo(transfer->client->curl, CURLINFO_RESPONSE_CODE, &code);
    transfer->answer->code = (int)code;
    if (code != 200 && code != 206)
        return total;
    transfer->sink_status = transfer->sink->body(transfer->sink->context, transfer->answer, bytes, total, transfer->diagnostic);
    transfer->failed_in_sink = transfer->sink_status != STATUS_OK;
    return transfer->failed_in_sink ? CURL_WRITEFUNC_ERROR : total;
}

static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t upload_total, curl_off_t upload_now)
{
    const Transfer *transfer = context;
    (void)total, (void)now, (void)upload_total, (void)upload_now;
    const volatile int *interrupted = transfer->client->settings.interrupted;
    return interrupted && *interrupted;
}

/* -- one hop */

static void set_options(Transfer *transfer, const char *url, uint64_t range_start, struct curl_slist *headers)
{
    CURL *curl = transfer->client->curl;
    const HttpSettings *settings = &transfer->client->settings;
    curl_easy_reset(curl); /* connections stay */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "nersweep/" NERSWEEP_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)settings->connect_timeout_s);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)settings->stall_timeout_s);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)settings->stall_bytes_per_s);
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's are not the server's */
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    if (range_start > 0) {
        char range[32];
        snprintf(range, sizeof range, "%llu-", (unsigned long long)range_start);
        curl_easy_setopt(curl, CURLOPT_RANGE, range); /* copied by the library */
    }
}

static Status status_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return STATUS_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return STATUS_TIMEOUT;
    case CURLE_ABORTED_BY_CALLBACK:
        return STATUS_INTERRUPTED;
    case CURLE_OUT_OF_MEMORY:
        return STATUS_OUT_OF_MEMORY;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return STATUS_UNSUPPORTED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return STATUS_PERMISSION;
    default:
        return STATUS_UNREACHABLE;
    }
}

static Status perform(Transfer *transfer, const char *url, uint64_t range_start, const char *bearer_token)
{
    Status status = STATUS_OK;
    struct curl_slist *headers = NULL;
    char *authorization = bearer_token ? memory_format("Authorization: Bearer %s", bearer_token) : NULL;
    char *origin = http_origin(url);
    long code = 0;
    if (authorization && !(headers = curl_slist_append(NULL, authorization)))
        TRY_FAIL(transfer->diagnostic, STATUS_OUT_OF_MEMORY, "no memory for a request");
    set_options(transfer, url, range_start, headers);
    CURLcode result = curl_easy_perform(transfer->client->curl);
    curl_easy_getinfo(transfer->client->curl, CURLINFO_RESPONSE_CODE, &code);
    transfer->answer->code = (int)code;
    if (transfer->failed_in_sink)
        status = transfer->sink_status; /* and its diagnostic */
    else if (result != CURLE_OK)
        status = FAIL(transfer->diagnostic, status_of(result), "%s: %s", origin,
                      transfer->error[0] ? transfer->error : curl_easy_strerror(result));
out:
    curl_easy_setopt(transfer->client->curl, CURLOPT_HTTPHEADER, NULL); /* neither outlives this call */
    curl_easy_setopt(transfer->client->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(headers);
    free(authorization);
    free(origin);
    return status;
}

static bool is_redirect(int code)
{
    return code == 301 || code == 302 || code == 303 || code == 307 || code == 308;
}

static bool has_scheme(const char *url, const char *scheme)
{
    size_t size = strlen(scheme);
    return strncasecmp(url, scheme, size) == 0 && strncmp(url + size, "://", 3) == 0;
}

/* The next URL, absolute; the caller frees it. */
static Status next_hop(const HttpClient *client, const char *url, char **next, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *target = NULL, *target_origin = NULL, *origin = http_origin(url);
    curl_easy_getinfo(client->curl, CURLINFO_REDIRECT_URL, &target); /* resolved against the present one */
    if (!target || strlen(target) > URL_LIMIT)
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "%s redirects to nowhere", origin);
    target_origin = http_origin(target);
    if (!has_scheme(target, "https") && !(has_scheme(target, "http") && !has_scheme(url, "https")))
        TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "%s redirects to a place that is not as safe, %.200s: not followed", origin,
                 target_origin);
    *next = memory_copy_string(target);
out:
    free(target_origin);
    free(origin);
    return status;
}

Status http_get(HttpClient *client, const HttpRequest *request, const HttpSink *sink, HttpAnswer *answer, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char *url = memory_copy_string(request->url);
    *answer = (HttpAnswer){0};
    for (int hop = 0;; hop++) {
        char *next = NULL;
        Transfer transfer = {.client = client, .sink = sink, .answer = answer, .diagnostic = diagnostic};
        TRY(perform(&transfer, url, request->range_start, hop == 0 ? request->bearer_token : NULL));
        if (!is_redirect(answer->code))
            break;
        if (hop >= client->settings.redirect_limit)
            TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "more than %d redirects, one after the other",
                     client->settings.redirect_limit);
        TRY(next_hop(client, url, &next, diagnostic));
        free(url);
        url = next;
        *answer = (HttpAnswer){.redirects = hop + 1};
    }
out:
    free(url);
    return status;
}

char *http_origin(const char *url)
{
    const char *start = strstr(url, "://");
    size_t scheme = start ? (size_t)(start - url) + 3 : 0, end = scheme + strcspn(url + scheme, "/?#");
    /* What stands before an @ is a name and a password. */
    const char *at = NULL;
    for (const char *c = url + scheme; c < url + end; c++)
        if (*c == '@')
            at = c;
    size_t host = at ? (size_t)(at - url) + 1 : scheme;
    return memory_format("%.*s%.*s", (int)scheme, url, (int)(end - host), url + host);
}
