/* An HTTP client (RFC 9110) for downloads, by libcurl: one GET at a time, redirects followed by hand so that nothing secret goes along. */
#ifndef NERSWEEP_CORE_IO_HTTP_H
#define NERSWEEP_CORE_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct HttpSettings {
    int connect_timeout_s;
    int stall_timeout_s; /* with less than stall_bytes_per_s over this time, the server counts as gone */
    int stall_bytes_per_s;
    int redirect_limit;
    const volatile int *interrupted; /* not 0: the transfer ends with STATUS_INTERRUPTED; NULL: never */
} HttpSettings;

typedef struct HttpRequest {
    const char *url;          /* http:// or https:// */
    const char *bearer_token; /* NULL: none. Sent with the first request only, never with one that follows a redirect */
    uint64_t range_start;     /* > 0: asks for the bytes from there on */
} HttpRequest;

/* The last answer, the one that is no redirect. */
typedef struct HttpAnswer {
    int code;
    bool content_length_known;
    uint64_t content_length; /* of this answer's body */
    bool chunked;            /* the body says itself where it ends */
    bool range_known;        /* Content-Range was there */
    bool range_start_known;  /* false for "bytes * / total", the answer to a range that cannot be satisfied */
    uint64_t range_start;
    bool range_total_known;
    uint64_t range_total; /* of the whole file */
    int retry_after_s;    /* 0: not said, or as a date */
    int redirects;        /* followed to get here */
} HttpAnswer;

/* Where an answer goes. Called on the caller's thread, inside http_get. */
typedef struct HttpSink {
    void *context;
    /* Every header of every answer on the way, redirects = 0 for the first one. name in lower case. May be NULL. */
    void (*header)(void *context, int redirects, const char *name, const char *value);
    /* Part of the body of an answer with code 200 or 206; bodies of others are dropped. A failure ends the transfer and is http_get's. */
    Status (*body)(void *context, const HttpAnswer *answer, const void *bytes, size_t size, Diagnostic *diagnostic);
} HttpSink;

/* Not thread-safe: one client per thread. Connections are kept open between requests. Proxies are taken from the environment, as curl does. */
typedef struct HttpClient HttpClient;
NODISCARD Status http_client_create(HttpClient **client, const HttpSettings *settings, Diagnostic *diagnostic);
void http_client_destroy(HttpClient **client);

/* STATUS_OK with any code of a server that answered in full: answer->code is for the caller to judge. A body that ends before its length
 * is STATUS_UNREACHABLE, a server that does not answer or stalls STATUS_TIMEOUT, no connection STATUS_UNREACHABLE, a certificate that is
 * not trusted STATUS_PERMISSION, too many redirects or one away from http(s), or from https to http, STATUS_UNSUPPORTED. */
NODISCARD Status http_get(HttpClient *client, const HttpRequest *request, const HttpSink *sink, HttpAnswer *answer,
                          Diagnostic *diagnostic);

/* "scheme://host:port" of a URL for messages, without anything that could be secret; the caller frees it. */
char *http_origin(const char *url);

#endif
