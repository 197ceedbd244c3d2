/* A temporary folder with a model folder, corpora and sweep files, for the tests of coordinator. */
#ifndef NERSWEEP_TESTS_COORDINATOR_FIXTURES_H
#define NERSWEEP_TESTS_COORDINATOR_FIXTURES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "coordinator/sweep.h"

/* Makes a new folder, goes into it, and puts model/config.json, train.conll, dev.conll and test.conll there. */
void fixture_enter(void);
/* Goes back and removes the folder. */
void fixture_leave(void);
const char *fixture_folder(void);
/* The same as cmocka's functions around a test. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)
void fixture_write(const char *name, const char *text);

/* The head of a sweep file: name, model, data (with a test set), without method and parameters. */
extern const char fixture_head[];
/* Writes head + text as sweep.yaml and reads it; fails the test when it is refused. */
Sweep *fixture_sweep(const char *text);

#endif
