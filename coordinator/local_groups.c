#include "coordinator/local_groups.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/process.h"
#include "core/base/memory.h"
#include "core/io/file.h"

enum {
    FAILURE_LIMIT = 5, /* in a row without progress */
    BACK_OFF_MS = 200,
    BACK_OFF_LIMIT_MS = 10000,
    LAST_WORDS_BYTES = 600,
    ARGUMENT_LIMIT = 24,
    MPIRUN_GRACE_MS = 2000,
};

typedef struct LocalGroup {
    pid_t pid;     /* 0: not running */
    int32_t rank0; /* its process, once it said HELLO; else 0 */
    char worker[64];
    char *log;
    int failures;
    bool given_up;
    int64_t start_ns; /* not before */
} LocalGroup;

struct LocalGroups {
    LocalGroup *items;
    int count, ranks;
    char *arguments[ARGUMENT_LIMIT]; /* of the program, NULL-terminated */
};

/* ------------------------------------------------------------------------------------------------ set-up */

static void build_arguments(LocalGroups *groups, const LocalGroupsOptions *options)
{
    size_t count = 0;
    char **arguments = groups->arguments;
    if (options->ranks > 1) {
        arguments[count++] = memory_copy_string("mpirun");
        arguments[count++] = memory_copy_string("-n");
        arguments[count++] = memory_format("%d", options->ranks);
        arguments[count++] = memory_copy_string("--bind-to"); /* each mpirun would bind its ranks to the same first cores */
        arguments[count++] = memory_copy_string("none");
    }
    arguments[count++] = memory_copy_string(options->program ? options->program : "");
    arguments[count++] = memory_copy_string("--coordinator");
    arguments[count++] = memory_copy_string(options->address);
    arguments[count++] = memory_copy_string("--ranks");
    arguments[count++] = memory_format("%d", options->ranks);
    arguments[count++] = memory_copy_string("--threads");
    arguments[count++] = memory_format("%d", options->threads);
    arguments[count++] = memory_copy_string("--backend");
    arguments[count++] = memory_copy_string(options->backend ? options->backend : "auto");
    if (options->key_file) {
        arguments[count++] = memory_copy_string("--key");
        arguments[count++] = memory_copy_string(options->key_file);
    }
    if (options->insecure)
        arguments[count++] = memory_copy_string("--insecure");
    ASSERT(count < ARGUMENT_LIMIT);
}

Status local_groups_create(LocalGroups **result, const LocalGroupsOptions *options, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    LocalGroups *groups = memory_allocate(1, sizeof *groups);
    char *logs = path_join(options->sweep_folder, "logs");
    *result = NULL;
    groups->count = options->count;
    groups->ranks = options->ranks;
    groups->items = memory_allocate((size_t)options->count + 1, sizeof *groups->items);
    build_arguments(groups, options);
    for (int i = 0; i < groups->count; i++)
        groups->items[i].log = memory_format("%s/worker-%d.log", logs, i);
    if (!options->program || access(options->program, X_OK) != 0)
        TRY_FAIL(diagnostic, STATUS_NOT_FOUND, "the worker program %s cannot be executed: %s",
                 options->program ? options->program : "(none)", strerror(errno));
    TRY(folder_create(file_system_posix(), logs, diagnostic));
    *result = groups;
    groups = NULL;
out:
    free(logs);
    local_groups_destroy(&groups);
    return status;
}

/* ------------------------------------------------------------------------------------------------ starting */

/* After fork: only what is safe there. */
static void __attribute__((noreturn)) become_worker(char *const *arguments, int log, pid_t parent)
{
    static const char failed[] = "nersweep: cannot execute the worker program\n";
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0); /* ctrl-C is for the coordinator, which lets the workers save */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); /* it died in between */
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp(arguments[0], arguments);
    ssize_t ignored = write(STDERR_FILENO, failed, sizeof failed - 1);
    (void)ignored;
    _exit(127);
}

static Status start_group(LocalGroups *groups, LocalGroup *group, Diagnostic *diagnostic)
{
    int log = open(group->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0)
        return FAIL(diagnostic, status_from_errno(errno), "cannot open %s: %s", group->log, strerror(errno));
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        become_worker(groups->arguments, log, parent);
    int error = errno;
    close(log);
    if (child < 0)
        return FAIL(diagnostic, status_from_errno(error), "cannot start a worker group: %s", strerror(error));
    setpgid(child, child); /* here too: whoever comes first */
    group->pid = child;
    group->rank0 = 0;
    group->worker[0] = '\0';
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------ ending */

static void describe_end(int wait_status, char *text, size_t size)
{
    if (WIFSIGNALED(wait_status))
        snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    else
        snprintf(text, size, "ended with exit code %d", WEXITSTATUS(wait_status));
}

/* The end of a group's log, for the message that says why it was given up. */
static char *last_words(const char *path)
{
    char words[LAST_WORDS_BYTES + 1] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return memory_copy_string("");
    off_t end = lseek(file, 0, SEEK_END), from = end > LAST_WORDS_BYTES ? end - LAST_WORDS_BYTES : 0;
    ssize_t size = pread(file, words, LAST_WORDS_BYTES, from);
    close(file);
    words[size > 0 ? size : 0] = '\0';
    const char *line = from > 0 ? strchr(words, '\n') : NULL; /* a line cut in two is left out */
    char *text = memory_copy_string(line && line[1] ? line + 1 : words);
    for (size_t length = strlen(text); length && text[length - 1] == '\n'; length--)
        text[length - 1] = '\0';
    return text;
}

static int64_t back_off_ns(int failures)
{
    int64_t ms = BACK_OFF_MS;
    for (int i = 1; i < failures && ms < BACK_OFF_LIMIT_MS; i++)
        ms *= 2;
    return (ms < BACK_OFF_LIMIT_MS ? ms : BACK_OFF_LIMIT_MS) * 1000000;
}

static void reap_group(LocalGroup *group, int64_t now_ns, LocalGroupLost lost, void *context)
{
    int wait_status;
    if (group->pid == 0 || waitpid(group->pid, &wait_status, WNOHANG) != group->pid)
        return;
    kill(-group->pid, SIGKILL); /* what is left of the group */
    char text[160], reason[256];
    describe_end(wait_status, text, sizeof text);
    snprintf(reason, sizeof reason, "its process (pid %d) %s", (int)group->pid, text);
    group->pid = 0;
    group->rank0 = 0;
    group->failures++;
    group->start_ns = now_ns + back_off_ns(group->failures);
    group->given_up = group->failures >= FAILURE_LIMIT;
    lost(context, group->worker[0] ? group->worker : NULL, reason);
    group->worker[0] = '\0';
}

static Status all_given_up(const LocalGroups *groups, Diagnostic *diagnostic)
{
    const LocalGroup *group = &groups->items[0];
    char *words = last_words(group->log);
    Status status = FAIL(diagnostic, STATUS_INTERNAL,
                         "every worker group failed %d times in a row without any progress; the last words in %s:\n%s",
                         FAILURE_LIMIT, group->log, words);
    free(words);
    return status;
}

Status local_groups_tick(LocalGroups *groups, int64_t now_ns, bool restart, LocalGroupLost lost, void *context,
                         Diagnostic *diagnostic)
{
    bool any = groups->count == 0 || !restart;
    for (int i = 0; i < groups->count; i++) {
        LocalGroup *group = &groups->items[i];
        reap_group(group, now_ns, lost, context);
        any = any || !group->given_up;
        if (restart && group->pid == 0 && !group->given_up && group->start_ns <= now_ns) {
            Status status = start_group(groups, group, diagnostic);
            if (status != STATUS_OK)
                return status;
        }
    }
    return any ? STATUS_OK : all_given_up(groups, diagnostic);
}

/* ------------------------------------------------------------------------------------------------ who is who */

void local_groups_hello(LocalGroups *groups, int32_t pid, const char *worker)
{
    int32_t parent = process_parent(pid);
    for (int i = 0; i < groups->count; i++) {
        LocalGroup *group = &groups->items[i];
        if (group->pid && (group->pid == pid || group->pid == parent)) {
            group->rank0 = pid;
            snprintf(group->worker, sizeof group->worker, "%s", worker);
        }
    }
}

void local_groups_progress(LocalGroups *groups, const char *worker)
{
    for (int i = 0; i < groups->count; i++)
        if (strcmp(groups->items[i].worker, worker) == 0)
            groups->items[i].failures = 0;
}

void local_groups_terminate(LocalGroups *groups)
{
    for (int i = 0; i < groups->count; i++) {
        LocalGroup *group = &groups->items[i];
        /* mpirun would give its ranks a second to end; rank 0 ends the group in good order. */
        if (group->pid)
            kill(group->rank0 ? group->rank0 : group->pid, SIGTERM);
    }
}

static void kill_group(const LocalGroups *groups, LocalGroup *group, int signal_number)
{
    if (!group->pid)
        return;
    /* Ranks have process groups of their own; mpirun ends them when asked, and not when it is killed. */
    if (groups->ranks > 1 && signal_number == SIGTERM)
        kill(group->pid, SIGTERM);
    else
        kill(-group->pid, SIGKILL);
}

void local_groups_kill(LocalGroups *groups)
{
    for (int i = 0; i < groups->count; i++)
        kill_group(groups, &groups->items[i], groups->ranks > 1 ? SIGTERM : SIGKILL);
    for (int waited_ms = 0; groups->ranks > 1 && waited_ms < MPIRUN_GRACE_MS; waited_ms += 10) {
        bool any = false;
        for (int i = 0; i < groups->count; i++) {
            LocalGroup *group = &groups->items[i];
            if (group->pid && waitpid(group->pid, NULL, WNOHANG) == group->pid)
                group->pid = 0;
            any = any || group->pid;
        }
        if (!any)
            return;
        nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
    }
    for (int i = 0; i < groups->count; i++) {
        LocalGroup *group = &groups->items[i];
        kill_group(groups, group, SIGKILL);
        while (group->pid && waitpid(group->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        group->pid = 0;
    }
}

void local_groups_kill_worker(LocalGroups *groups, int32_t pid)
{
    for (int i = 0; i < groups->count; i++) {
        LocalGroup *group = &groups->items[i];
        if (group->pid && (group->rank0 == pid || group->pid == pid)) {
            kill(pid, SIGKILL);
            kill_group(groups, group, groups->ranks > 1 ? SIGTERM : SIGKILL);
        }
    }
}

size_t local_groups_alive(const LocalGroups *groups)
{
    size_t alive = 0;
    for (int i = 0; i < groups->count; i++)
        alive += groups->items[i].pid != 0;
    return alive;
}

void local_groups_destroy(LocalGroups **destroyed)
{
    LocalGroups *groups = *destroyed;
    if (!groups)
        return;
    local_groups_kill(groups);
    for (int i = 0; i < groups->count; i++)
        free(groups->items[i].log);
    for (size_t i = 0; groups->arguments[i]; i++)
        free(groups->arguments[i]);
    free(groups->items);
    free(groups);
    *destroyed = NULL;
}
