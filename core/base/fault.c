#include "core/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum FaultAction { FAULT_KILL, FAULT_STOP, FAULT_FAIL, FAULT_HANG } FaultAction;

/* What the environment asked for. A test sets it before the process starts, so it is read once. */
typedef struct Fault {
    char name[128];
    long nth;
    FaultAction action;
    const char *log_path;  /* NULL: none */
    const char *once_path; /* NULL: none */
    atomic_long reached;
    bool active;
} Fault;

static Fault fault;
static pthread_once_t fault_once = PTHREAD_ONCE_INIT;

/* A request that is misspelt must not pass for a test that survived its fault. */
static void __attribute__((noreturn)) fault_refuse(const char *text)
{
    fprintf(stderr, "nersweep: NERSWEEP_FAULT=\"%s\": expected [program@]name[:nth[:kill|stop|fail|hang]]\n", text);
    abort();
}

static void fault_read(void)
{
    const char *text = getenv("NERSWEEP_FAULT");
    if (!text || !text[0])
        return;
    const char *at = strchr(text, '@');
    if (at) {
        size_t program_size = (size_t)(at - text);
        if (strlen(program_invocation_short_name) != program_size || memcmp(program_invocation_short_name, text, program_size) != 0)
            return; /* meant for another program that shares the environment */
        text = at + 1;
    }
    size_t name_size = strcspn(text, ":");
    if (name_size == 0 || name_size >= sizeof fault.name)
        fault_refuse(text);
    memcpy(fault.name, text, name_size);
    fault.nth = 1;
    const char *rest = text + name_size;
    if (*rest == ':') {
        char *end;
        errno = 0;
        fault.nth = strtol(rest + 1, &end, 10);
        if (end == rest + 1 || errno || fault.nth < 1 || (*end && *end != ':'))
            fault_refuse(text);
        rest = end;
    }
    if (*rest == ':') {
        if (strcmp(rest + 1, "kill") == 0)
            fault.action = FAULT_KILL;
        else if (strcmp(rest + 1, "stop") == 0)
            fault.action = FAULT_STOP;
        else if (strcmp(rest + 1, "fail") == 0)
            fault.action = FAULT_FAIL;
        else if (strcmp(rest + 1, "hang") == 0)
            fault.action = FAULT_HANG;
        else
            fault_refuse(text);
    }
    const char *log_path = getenv("NERSWEEP_FAULT_LOG");
    fault.log_path = log_path && log_path[0] ? strdup(log_path) : NULL;
    const char *once_path = getenv("NERSWEEP_FAULT_ONCE");
    fault.once_path = once_path && once_path[0] ? strdup(once_path) : NULL;
    fault.active = true;
}

static void fault_log(const char *name)
{
    if (!fault.log_path)
        return;
    int file = open(fault.log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0)
        return;
    char line[160];
    int length = snprintf(line, sizeof line, "%s\n", name);
    ssize_t ignored = write(file, line, length > 0 ? (size_t)length : 0);
    (void)ignored;
    close(file);
}

/* False when a process that shares NERSWEEP_FAULT_ONCE was first. */
static bool fault_claim(void)
{
    if (!fault.once_path)
        return true;
    int file = open(fault.once_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0)
        return false;
    close(file);
    return true;
}

bool fault_point(const char *name)
{
    pthread_once(&fault_once, fault_read);
    if (!fault.active || strcmp(name, fault.name) != 0)
        return false;
    if (atomic_fetch_add(&fault.reached, 1) + 1 != fault.nth || !fault_claim())
        return false;
    fault_log(name);
    switch (fault.action) {
    case FAULT_KILL:
        kill(getpid(), SIGKILL);
        for (;;) /* the signal is on its way; nothing more may happen */
            pause();
    case FAULT_STOP:
        kill(getpid(), SIGSTOP);
        return false;
    case FAULT_HANG:
        for (;;) /* this thread alone: the others go on as if nothing had happened */
            pause();
    case FAULT_FAIL:
        return true;
    }
    return false;
}
