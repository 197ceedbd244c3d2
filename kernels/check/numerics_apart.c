/* A setting looked at by a process of its own, whose death is a finding too: a library for another processor ends in an illegal instruction. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/check/numerics.h"

enum { OPERATION_COUNT_MAX = 64 };

/* What the child leaves behind. Texts are static, and the child has them where its parent has. */
typedef struct Slate {
    size_t begun; /* number of the operation that is being run */
    bool finished;
    size_t operation_count;
    NumericsOperation operations[OPERATION_COUNT_MAX];
    Diagnostic failure;
} Slate;

static void child_run(Slate *slate, const NumericsExpected *expected, const BackendSetting *setting, unsigned time_limit_s)
{
    NumericsReport report;
    alarm(time_limit_s);
    numerics_check(expected, setting, &slate->begun, &report);
    slate->failure = report.failure;
    ASSERT(report.operations.count <= OPERATION_COUNT_MAX);
    slate->operation_count = report.operations.count;
    for (size_t i = 0; i < report.operations.count; i++) {
        slate->operations[i] = report.operations.items[i];
    }
    numerics_report_free(&report);
    slate->finished = true;
}

static void note_death(const Slate *slate, int wait_status, unsigned time_limit_s, Diagnostic *failure)
{
    size_t count;
    const OperationCase *cases = operation_cases(&count);
    const char *name = cases[slate->begun < count ? slate->begun : 0].name;
    if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGALRM) {
        (void)FAIL(failure, STATUS_TIMEOUT, "%s: not done within %u s", name, time_limit_s);
    } else if (WIFSIGNALED(wait_status)) {
        (void)FAIL(failure, STATUS_INTERNAL, "%s: the process died by signal %d (%s)", name, WTERMSIG(wait_status),
                   strsignal(WTERMSIG(wait_status)));
    } else {
        (void)FAIL(failure, STATUS_INTERNAL, "%s: the process ended without a result", name);
    }
}

Status numerics_check_apart(const NumericsExpected *expected, const BackendSetting *setting, unsigned time_limit_s,
                            NumericsReport *report, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int wait_status = 0;
    pid_t child = -1;
    *report = (NumericsReport){.setting = *setting};
    Slate *slate = mmap(NULL, sizeof *slate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slate == MAP_FAILED) {
        return FAIL(diagnostic, status_from_errno(errno), "cannot share memory with a process: %s", strerror(errno));
    }
    child = fork();
    if (child < 0) {
        TRY_FAIL(diagnostic, status_from_errno(errno), "cannot start a process: %s", strerror(errno));
    }
    if (child == 0) {
        child_run(slate, expected, setting, time_limit_s);
        _exit(0); /* what the parent has still to print is not the child's */
    }
    while (waitpid(child, &wait_status, 0) < 0) {
        if (errno != EINTR) {
            TRY_FAIL(diagnostic, status_from_errno(errno), "cannot wait for a process: %s", strerror(errno));
        }
    }
    if (!slate->finished) {
        note_death(slate, wait_status, time_limit_s, &report->failure);
        goto out;
    }
    report->failure = slate->failure;
    for (size_t i = 0; i < slate->operation_count; i++) {
        array_push(&report->operations, slate->operations[i]);
    }
out:
    munmap(slate, sizeof *slate);
    return status;
}
