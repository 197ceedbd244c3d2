/* tokenizer.json and its companions, written so that Hugging Face's AutoTokenizer is the BertTokenizerFast of the same vocab.txt. */
#include "model/vocabulary_file.h"

typedef struct SpecialToken {
    const char *key, *piece;
    bool required;
} SpecialToken;

enum { SPECIAL_UNK, SPECIAL_SEP, SPECIAL_PAD, SPECIAL_CLS, SPECIAL_MASK, SPECIAL_TOKEN_COUNT };
static const SpecialToken SPECIAL_TOKENS[SPECIAL_TOKEN_COUNT] = {
    [SPECIAL_UNK] = {"unk_token", "[UNK]", true},     [SPECIAL_SEP] = {"sep_token", "[SEP]", true},
    [SPECIAL_PAD] = {"pad_token", "[PAD]", true},     [SPECIAL_CLS] = {"cls_token", "[CLS]", true},
    [SPECIAL_MASK] = {"mask_token", "[MASK]", false}, /* only pre-training needs it */
};

static Status find_special_tokens(const VocabularyFile *vocabulary, const char *path, long ids[SPECIAL_TOKEN_COUNT],
                                  Diagnostic *diagnostic)
{
    for (size_t i = 0; i < SPECIAL_TOKEN_COUNT; i++) {
        ids[i] = vocabulary_file_find(vocabulary, SPECIAL_TOKENS[i].piece);
        if (ids[i] < 0 && SPECIAL_TOKENS[i].required)
            return FAIL_AT(diagnostic, STATUS_MISMATCH, path, 0, 0, "the vocabulary has no %s piece: this is no BERT vocabulary",
                           SPECIAL_TOKENS[i].piece);
    }
    return STATUS_OK;
}

static Json *added_token(const char *piece, long id)
{
    Json *token = json_object();
    json_set(token, "id", json_integer(id));
    json_set(token, "content", json_string(piece));
    json_set(token, "single_word", json_boolean(false));
    json_set(token, "lstrip", json_boolean(false));
    json_set(token, "rstrip", json_boolean(false));
    json_set(token, "normalized", json_boolean(false));
    json_set(token, "special", json_boolean(true));
    return token;
}

/* Sorted by id, as the tokenizers library wants them. */
static Json *added_tokens(const long ids[SPECIAL_TOKEN_COUNT])
{
    Json *tokens = json_array();
    long last = -1;
    for (size_t round = 0; round < SPECIAL_TOKEN_COUNT; round++) {
        size_t next = SPECIAL_TOKEN_COUNT;
        for (size_t i = 0; i < SPECIAL_TOKEN_COUNT; i++) {
            if (ids[i] > last && (next == SPECIAL_TOKEN_COUNT || ids[i] < ids[next]))
                next = i;
        }
        if (next == SPECIAL_TOKEN_COUNT)
            break;
        json_append(tokens, added_token(SPECIAL_TOKENS[next].piece, ids[next]));
        last = ids[next];
    }
    return tokens;
}

static Json *template_item(const char *kind, const char *id, int type_id)
{
    Json *inner = json_object(), *item = json_object();
    json_set(inner, "id", json_string(id));
    json_set(inner, "type_id", json_integer(type_id));
    json_set(item, kind, inner);
    return item;
}

static void append_sequence(Json *template, const char *sequence, int type_id)
{
    json_append(template, template_item("Sequence", sequence, type_id));
    json_append(template, template_item("SpecialToken", "[SEP]", type_id));
}

static Json *template_special(const char *piece, long id)
{
    Json *special = json_object(), *ids = json_array(), *tokens = json_array();
    json_append(ids, json_integer(id));
    json_append(tokens, json_string(piece));
    json_set(special, "id", json_string(piece));
    json_set(special, "ids", ids);
    json_set(special, "tokens", tokens);
    return special;
}

/* [CLS] A [SEP], and [CLS] A [SEP] B [SEP]. */
static Json *post_processor(const long ids[SPECIAL_TOKEN_COUNT])
{
    Json *processor = json_object(), *single = json_array(), *pair = json_array(), *specials = json_object();
    json_append(single, template_item("SpecialToken", "[CLS]", 0));
    append_sequence(single, "A", 0);
    json_append(pair, template_item("SpecialToken", "[CLS]", 0));
    append_sequence(pair, "A", 0);
    append_sequence(pair, "B", 1);
    json_set(specials, "[CLS]", template_special("[CLS]", ids[SPECIAL_CLS]));
    json_set(specials, "[SEP]", template_special("[SEP]", ids[SPECIAL_SEP]));
    json_set(processor, "type", json_string("TemplateProcessing"));
    json_set(processor, "single", single);
    json_set(processor, "pair", pair);
    json_set(processor, "special_tokens", specials);
    return processor;
}

static Json *word_piece_model(const VocabularyFile *vocabulary)
{
    Json *model = json_object(), *vocab = json_object();
    for (size_t i = 0; i < vocabulary->pieces.count; i++)
        json_set(vocab, vocabulary->pieces.items[i], json_integer((int64_t)i));
    json_set(model, "type", json_string("WordPiece"));
    json_set(model, "unk_token", json_string("[UNK]"));
    json_set(model, "continuing_subword_prefix", json_string("##"));
    json_set(model, "max_input_chars_per_word", json_integer(100));
    json_set(model, "vocab", vocab);
    return model;
}

static Json *typed(const char *type)
{
    Json *object = json_object();
    json_set(object, "type", json_string(type));
    return object;
}

static Json *tokenizer(const VocabularyFile *vocabulary, const long ids[SPECIAL_TOKEN_COUNT], bool lowercase)
{
    Json *root = json_object(), *normalizer = typed("BertNormalizer"), *decoder = typed("WordPiece");
    json_set(normalizer, "clean_text", json_boolean(true));
    json_set(normalizer, "handle_chinese_chars", json_boolean(true));
    json_set(normalizer, "strip_accents", json_null()); /* null follows lowercase */
    json_set(normalizer, "lowercase", json_boolean(lowercase));
    json_set(decoder, "prefix", json_string("##"));
    json_set(decoder, "cleanup", json_boolean(true));
    json_set(root, "version", json_string("1.0"));
    json_set(root, "truncation", json_null());
    json_set(root, "padding", json_null());
    json_set(root, "added_tokens", added_tokens(ids));
    json_set(root, "normalizer", normalizer);
    json_set(root, "pre_tokenizer", typed("BertPreTokenizer"));
    json_set(root, "post_processor", post_processor(ids));
    json_set(root, "decoder", decoder);
    json_set(root, "model", word_piece_model(vocabulary));
    return root;
}

static void set_special_tokens(Json *object, const long ids[SPECIAL_TOKEN_COUNT])
{
    for (size_t i = 0; i < SPECIAL_TOKEN_COUNT; i++) {
        if (ids[i] >= 0)
            json_set(object, SPECIAL_TOKENS[i].key, json_string(SPECIAL_TOKENS[i].piece));
    }
}

static Json *tokenizer_configuration(const long ids[SPECIAL_TOKEN_COUNT], bool lowercase, long max_length)
{
    Json *root = json_object();
    json_set(root, "tokenizer_class", json_string("BertTokenizer"));
    json_set(root, "do_lower_case", json_boolean(lowercase));
    json_set(root, "do_basic_tokenize", json_boolean(true));
    json_set(root, "tokenize_chinese_chars", json_boolean(true));
    json_set(root, "strip_accents", json_null());
    json_set(root, "never_split", json_null());
    json_set(root, "model_max_length", json_integer(max_length));
    set_special_tokens(root, ids);
    return root;
}

Status tokenizer_json_make(TokenizerJson *made, const VocabularyFile *vocabulary, const char *path, bool lowercase, long max_length,
                           Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    long ids[SPECIAL_TOKEN_COUNT];
    *made = (TokenizerJson){0};
    TRY(find_special_tokens(vocabulary, path, ids, diagnostic));
    made->tokenizer = tokenizer(vocabulary, ids, lowercase);
    made->configuration = tokenizer_configuration(ids, lowercase, max_length);
    made->special_tokens_map = json_object();
    set_special_tokens(made->special_tokens_map, ids);
out:
    return status;
}

void tokenizer_json_free(TokenizerJson *made)
{
    json_destroy(&made->tokenizer);
    json_destroy(&made->configuration);
    json_destroy(&made->special_tokens_map);
}
