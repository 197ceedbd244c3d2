/* Files as other programs write them. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/corpus.h"

/* "token/label token/label | ..", "<doc> " before a document; or "!line:column message". */
static char *seen_in(const char *path, CorpusOptions options)
{
    CorpusReader *reader = NULL;
    Diagnostic diagnostic = {0};
    Text seen = {0};
    Status status = corpus_reader_open(&reader, path, options, NULL, NULL, &diagnostic);
    for (const CorpusSentence *sentence; status == STATUS_OK;) {
        status = corpus_reader_next(reader, &sentence, &diagnostic);
        if (status != STATUS_OK || !sentence)
            break;
        text_format(&seen, "%s%s", seen.size ? " | " : "", sentence->document_start ? "<doc> " : "");
        for (int32_t i = 0; i < sentence->token_count; i++)
            text_format(&seen, "%s%s/%s", i ? " " : "", sentence->tokens[i].text, sentence->tokens[i].label);
    }
    if (status != STATUS_OK)
        text_format(&seen, "!%ld:%ld %s", diagnostic.input_line, diagnostic.input_column, diagnostic.message);
    corpus_reader_close(&reader);
    return text_take(&seen);
}

static void reads_named(void **state, const char *name, const char *text, CorpusOptions options, const char *expected)
{
    char *path = scratch_write(*state, name, text), *seen = seen_in(path, options);
    if (expected[0] == '!' ? !strstr(seen, expected) : strcmp(seen, expected) != 0)
        fail_msg("%s: %s\nwhere was expected: %s", text, seen, expected);
    free(seen);
    free(path);
}

static void reads(void **state, const char *text, const char *expected)
{
    reads_named(state, "corpus", text, (CorpusOptions){0}, expected);
}

/* Label Studio's CONLL2003: a first line of three columns above lines of four, "_" where it knows nothing. */
static void label_studio_conll2003(void **state)
{
    reads(state,
          "-DOCSTART- -X- O\nSam -X- _ B-PER\nSmith -X- _ I-PER\nin -X- _ O\nOslo -X- _ B-LOC\n. -X- _ O\n\nNew -X- _ O\nday -X- _ "
          "O\n\n",
          "<doc> Sam/B-PER Smith/I-PER in/O Oslo/B-LOC ./O | New/O day/O");
    reads(state, "-DOCSTART- -X- O\n\n", "");
    reads(state, "-DOCSTART- -X- _ O\n\na -X- _ B-X\n\n", "<doc> a/B-X");
}

static void conll_2003_2012_and_germeval(void **state)
{
    reads(state, "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n", "<doc> EU/B-ORG rejects/O");
    /* GermEval 2014: number, token, outer, inner; "#", TAB and the source before each sentence */
    reads_named(state, "corpus", "#\thttp://x.y [2009-10-17]\n1\tAufgrund\tO\tO\n2\tIG\tB-ORG\tO\n\n#\thttp://z\n1\tEr\tO\tO\n",
                (CorpusOptions){.token_column = 2, .label_column = 3}, "<doc> Aufgrund/O IG/B-ORG | Er/O");
    reads(state, "#\tO\n#\t_\n\na\tO\n", "<doc> #/O #/_ | a/O");
    reads(state, "#\t_\na\tO\n", "<doc> #/_ a/O");
    reads(state, "a\tO\n#\tO\tO\n", "!2:1 expected 2 columns");
    reads(state, "a\tO\n\n#\t\n", "!3:3 the label is empty");
    reads_named(state, "corpus", "# http://x.y [2009-10-17]\n1\tAufgrund\tO\tO\n2\tIG\tB-ORG\tO\n\n# http://z\n1\tEr\tO\tO\n",
                (CorpusOptions){.token_column = 2, .label_column = 3}, "<doc> Aufgrund/O IG/B-ORG | Er/O");
    /* MultiCoNER */
    reads(state, "# id 7\tdomain=en\nx _ _ B-CW\ny _ _ I-CW\n\n# id 8\tdomain=en\nz _ _ O\n", "<doc> x/B-CW y/I-CW | z/O");
}

/* U+FE0F alone and other tokens of which nothing is seen stay tokens: their labels count. */
static void tokens_of_nothing_visible(void **state)
{
    reads(state, "so\tO\n\xEF\xB8\x8F\tB-X\n\xE2\x80\x8B\tI-X\n\xC2\xAD\tO\n",
          "<doc> so/O \xEF\xB8\x8F/B-X \xE2\x80\x8B/I-X \xC2\xAD/O");
    reads(state, "{\"tokens\":[\"\\ufe0f\"],\"ner_tags\":[\"B-X\"]}\n", "<doc> \xEF\xB8\x8F/B-X");
}

static void run_ner_lines_with_ids_and_other_keys(void **state)
{
    CorpusOptions options = {.label_list = "O,B-PER,I-PER"};
    const char *text = "{\"id\":\"0\",\"tokens\":[\"Ann\",\"Lee\"],\"pos_tags\":[3,3],\"chunk_tags\":[1,2],\"ner_tags\":[1,2]}\n"
                       "{\"id\":\"1\",\"tokens\":[\"ran\"],\"pos_tags\":[5],\"chunk_tags\":[0],\"ner_tags\":[0]}\n";
    reads_named(state, "a.json", text, options, "<doc> Ann/B-PER Lee/I-PER | ran/O");
    reads_named(state, "a.json", text, (CorpusOptions){0}, "!1:1 record 1: tag 1 is the number 1");
    reads_named(state, "a.json", "{\"tokens\":[\"a\"],\"ner_tags\":[-1]}\n", options, "!1:1 record 1: tag 1 is -1");
    reads_named(state, "a.json", "{\"tokens\":[\"a\",\"b\"],\"ner_tags\":[0]}\n", options, "!1:1 record 1: 2 tokens and 1 tags");
}

/* The Kaggle corpus: the sentence's name in its first line alone, quotes around tokens, and Windows line ends. */
static void csv_of_the_annotated_corpus(void **state)
{
    reads_named(state, "a.csv",
                "Sentence #,Word,POS,Tag\r\nSentence: 1,Iran,NNP,B-geo\r\n,\"said, \"\"no\"\"\",VBD,O\r\n,\"two\r\nlines\",NN,O\r\n"
                "Sentence: 2,\",\",\",\",O\r\n",
                (CorpusOptions){0}, "<doc> Iran/B-geo said, \"no\"/O two\r\nlines/O | ,/O");
}

static void prodigy_with_and_without_tokens(void **state)
{
    const char *spans =
        "\"spans\":[{\"start\":0,\"end\":8,\"label\":\"LOC\",\"token_start\":0,\"token_end\":1}],\"answer\":\"accept\"";
    char *with = memory_format(
        "{\"text\":\"New York.\",\"_input_hash\":-1,\"tokens\":[{\"text\":\"New\",\"start\":0,\"end\":3,\"id\":0,\"ws\":true},"
        "{\"text\":\"York\",\"start\":4,\"end\":8,\"id\":1,\"ws\":false},"
        "{\"text\":\".\",\"start\":8,\"end\":9,\"id\":2,\"ws\":false}],%s}\n",
        spans);
    char *without = memory_format("{\"text\":\"New York.\",%s}\n{\"text\":\"x\",\"answer\":\"ignore\"}\n{\"text\":\"y\"}\n", spans);
    reads(state, with, "<doc> New/B-LOC York/I-LOC ./O");
    reads_named(state, "corpus", with, (CorpusOptions){.words_given = true, .words = WORDS_WHITESPACE},
                "<doc> New/B-LOC York/I-LOC ./O");
    reads(state, without, "<doc> New/B-LOC York/I-LOC ./O | y/O");
    reads_named(state, "corpus", without, (CorpusOptions){.words_given = true, .words = WORDS_WHITESPACE},
                "!1:1 the span LOC \"New York\"");
    free(with);
    free(without);
}

static void label_studio_json_min(void **state)
{
    reads_named(
        state, "a.json",
        "[{\"text\":\"Ann ran\",\"id\":1,\"label\":[{\"start\":0,\"end\":3,\"text\":\"Ann\",\"labels\":[\"PER\"]}],\"annotator\":1,"
        "\"annotation_id\":1,\"created_at\":\"2024-01-01T00:00:00Z\",\"lead_time\":3.5},\n"
        "{\"text\":\"none\",\"id\":2,\"sentiment\":\"good\"}]",
        (CorpusOptions){0}, "<doc> Ann/B-PER ran/O | none/O");
}

static void label_studio_regions_that_are_not_of_plain_text(void **state)
{
    reads(state,
          "[{\"data\":{\"text\":\"a\"},\"annotations\":[{\"result\":[{\"type\":\"hypertextlabels\",\"value\":{\"start\":\"/p[1]/"
          "text()[1]\","
          "\"end\":\"/p[1]/text()[1]\",\"startOffset\":0,\"endOffset\":1,\"hypertextlabels\":[\"X\"]}}]}]}]",
          "!1:2 record 1: result 1 has \"hypertextlabels\"");
    reads(state,
          "[{\"data\":{\"text\":\"a\"},\"annotations\":[{\"result\":[{\"type\":\"choices\",\"value\":{\"choices\":[\"x\"]}},"
          "{\"type\":\"relation\",\"from_id\":\"a\",\"to_id\":\"b\",\"labels\":[\"r\"]},"
          "{\"type\":\"labels\",\"value\":{\"start\":0,\"end\":1,\"labels\":[\"X\"]}}]}]}]",
          "<doc> a/B-X");
}

static void brat_reads(void **state, const char *text, const char *annotations, const char *expected)
{
    free(scratch_write(*state, "d.txt", text));
    reads_named(state, "d.ann", annotations, (CorpusOptions){0}, expected);
}

static void brat_with_events_relations_and_notes(void **state)
{
    brat_reads(
        state, "Ann met Bob.\nThey ran.\n",
        "T1\tPER 0 3\tAnn\nT2\tMeet 4 7\tmet\nE1\tMeet:T2 Who:T1\nR1\tKnows Arg1:T1 Arg2:T3\t\nT3\tPER 8 11\tBob\n"
        "A1\tNegation E1\nM1\tSpeculation E1\n*\tEquiv T1 T3\nN1\tReference T1 Wikipedia:1\tAnn\n#1\tAnnotatorNotes T1\ta note\n"
        "#2\tAnnotatorNotes E1\twith\ttabs\n",
        "<doc> Ann/B-PER met/B-Meet Bob/B-PER ./O | They/O ran/O ./O");
    brat_reads(state, "ab cd ef\n", "T1\tX 0 2;6 8\tab ef\n", "!1:1 the span X is in several fragments");
    brat_reads(state, "New\nYork\n", "T1\tLOC 0 8\tNew York\n", "<doc> New/B-LOC York/I-LOC");
    brat_reads(state, "New\r\nYork\r\n", "T1\tLOC 0 9\tNew  York\r\n", "<doc> New/B-LOC York/I-LOC");
    brat_reads(state, "a\n", "T1\tX 0\ta\n", "!1:1 expected an id");
    brat_reads(state, "\xF0\x9F\x98\x80 Ann\n", "T1\tPER 2 5\tAnn\n", "<doc> \xF0\x9F\x98\x80/O Ann/B-PER");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(label_studio_conll2003, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(conll_2003_2012_and_germeval, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(tokens_of_nothing_visible, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(run_ner_lines_with_ids_and_other_keys, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(csv_of_the_annotated_corpus, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(prodigy_with_and_without_tokens, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(label_studio_json_min, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(label_studio_regions_that_are_not_of_plain_text, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(brat_with_events_relations_and_notes, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
