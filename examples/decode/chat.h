/* Chats: finds out from a model's chat template how its turns are written, and writes them.
   The template is not run; its family is known by the markers in it, as llama.cpp does. */
#ifndef CHAT_H
#define CHAT_H

#include "vocab.h"

typedef struct chat_message {
    const char *role; /* "system", "user" or "assistant" */
    vocab_text content;
} chat_message;

enum chat_habits { CHAT_TRIM = 1, CHAT_TRIM_ASSISTANT = 2, CHAT_SYSTEM_IN_USER = 4 };

/* What stands before and after the content of each role; \1 is the text of the eos token.
   A turn is what an assistant's message ends; `first_turn` and `next_turn` open it. */
typedef struct chat_format {
    const char *name;
    int habits;
    const char *first_turn, *next_turn;
    const char *system[2], *user[2], *assistant[2];
    const char *answer; /* opens the assistant's message that the model is to write */
} chat_format;

/* Every role written alike. */
#define CHAT_ROLES(before, after, end)                                                         \
    {before "system" after, end}, {before "user" after, end}, {before "assistant" after, end}, \
        before "assistant" after

#define CHAT_SYS       {"<<SYS>>\n", "\n<</SYS>>\n\n"}
#define CHAT_USER_MARK "<\xef\xbd\x9cUser\xef\xbd\x9c>"
#define CHAT_ASSISTANT_MARK \
    "<\xef\xbd\x9c"         \
    "Assistant\xef\xbd\x9c>"
#define CHAT_SENTENCE_END \
    "<\xef\xbd\x9c"       \
    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"

/* clang-format off */
static const chat_format chat_formats[] = {
    /* name, habits, first turn, next turn, {system}, {user}, {assistant}, answer */
    {"chatml", 0, "", "", CHAT_ROLES("<|im_start|>", "\n", "<|im_end|>\n")},
    {"phi4", 0, "", "", CHAT_ROLES("<|im_start|>", "<|im_sep|>", "<|im_end|>")},
    {"phi3", 0, "", "", CHAT_ROLES("<|", "|>\n", "<|end|>\n")},
    {"zephyr", 0, "", "", CHAT_ROLES("<|", "|>\n", "<|endoftext|>\n")},
    {"zephyr-eos", 0, "", "", CHAT_ROLES("<|", "|>\n", "\1\n")},
    {"falcon3", 0, "", "", CHAT_ROLES("<|", "|>\n", "\n")},
    {"llama3", CHAT_TRIM, "", "",
     CHAT_ROLES("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>")},
    {"llama2", 0, "[INST] ", "[INST] ", {"", "\n"}, {"", " [/INST]"}, {"", "</s>"}, ""},
    {"llama2-sys", 0, "[INST] ", "[INST] ", CHAT_SYS, {"", " [/INST]"}, {"", "</s>"}, ""},
    {"llama2-sys-bos", 0, "[INST] ", "<s>[INST] ", CHAT_SYS, {"", " [/INST]"}, {"", "</s>"}, ""},
    {"llama2-sys-strip", CHAT_TRIM, "[INST] ", "[INST] ", CHAT_SYS, {"", " [/INST]"},
     {"", "</s>"}, ""},
    {"mistral-v1", 0, " [INST] ", " [INST] ", {"", "\n\n"}, {"", " [/INST]"}, {" ", "</s>"}, ""},
    {"mistral-v3", CHAT_TRIM_ASSISTANT, "[INST] ", "[INST] ", {"", "\n\n"}, {"", "[/INST]"},
     {" ", "</s>"}, ""},
    {"mistral-v3-tekken", 0, "[INST]", "[INST]", {"", "\n\n"}, {"", "[/INST]"}, {"", "</s>"}, ""},
    {"mistral-v7", 0, "", "", {"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"}, {"[INST] ", "[/INST]"},
     {" ", "</s>"}, ""},
    {"mistral-v7-tekken", 0, "", "", {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"},
     {"[INST]", "[/INST]"}, {"", "</s>"}, ""},
    {"gemma", CHAT_TRIM | CHAT_SYSTEM_IN_USER, "", "", {"", "\n\n"},
     {"<start_of_turn>user\n", "<end_of_turn>\n"}, {"<start_of_turn>model\n", "<end_of_turn>\n"},
     "<start_of_turn>model\n"},
    {"openchat", 0, "", "", {"", "<|end_of_turn|>"}, {"GPT4 Correct User: ", "<|end_of_turn|>"},
     {"GPT4 Correct Assistant: ", "<|end_of_turn|>"}, "GPT4 Correct Assistant:"},
    {"vicuna", 0, "", "", {"", "\n\n"}, {"USER: ", "\n"}, {"ASSISTANT: ", "</s>\n"},
     "ASSISTANT:"},
    {"vicuna-orca", 0, "", "", {"SYSTEM: ", "\n"}, {"USER: ", "\n"}, {"ASSISTANT: ", "</s>\n"},
     "ASSISTANT:"},
    {"deepseek", 0, "", "", {"", ""}, {"### Instruction:\n", "\n"},
     {"### Response:\n", "\n<|EOT|>\n"}, "### Response:\n"},
    {"deepseek2", 0, "", "", {"", "\n\n"}, {"User: ", "\n\n"},
     {"Assistant: ", CHAT_SENTENCE_END}, "Assistant:"},
    {"deepseek3", 0, "", "", {"", "\n\n"}, {CHAT_USER_MARK, ""},
     {CHAT_ASSISTANT_MARK, CHAT_SENTENCE_END}, CHAT_ASSISTANT_MARK},
};
/* clang-format on */

/* A model's way of chatting. Zero-initialise; chat_free gives the texts back. */
typedef struct chat {
    const chat_format *format;
    tokenizer_text system; /* stands in for a missing system message */
    tokenizer_text eos;
} chat;

static inline void chat_free(chat *c)
{
    free(c->system.data);
    free(c->eos.data);
    memset(c, 0, sizeof *c);
}

static const chat_format *chat_find(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof chat_formats / sizeof chat_formats[0]; ++i)
        if (strlen(chat_formats[i].name) == size && memcmp(chat_formats[i].name, name, size) == 0)
            return &chat_formats[i];
    return 0;
}

/* Where a word stands in a text at or after `from`, or SIZE_MAX. */
static size_t chat_search(vocab_text text, size_t from, const char *word)
{
    size_t size = strlen(word);
    for (size_t at = from; at + size <= text.size; ++at)
        if (memcmp(text.data + at, word, size) == 0) return at;
    return SIZE_MAX;
}

static int chat_has(vocab_text text, const char *word)
{
    return chat_search(text, 0, word) != SIZE_MAX;
}

static const char *chat_mistral_name(vocab_text t)
{
    if (chat_has(t, "[SYSTEM_PROMPT]")) return "mistral-v7";
    if (chat_has(t, "' [INST] ' + system_message") || chat_has(t, "[AVAILABLE_TOOLS]")) {
        if (chat_has(t, " [INST]")) return "mistral-v1";
        return chat_has(t, "\"[INST]\"") ? "mistral-v3-tekken" : "mistral-v3";
    }
    if (chat_has(t, "content.strip()")) return "llama2-sys-strip";
    if (chat_has(t, "bos_token + '[INST]")) return "llama2-sys-bos";
    return chat_has(t, "<<SYS>>") ? "llama2-sys" : "llama2";
}

/* Zephyr and TinyLlama close every message with the eos token, whatever its text. */
static int chat_closes_with_eos(vocab_text t)
{
    size_t user = chat_search(t, 0, "<|user|>"), eos, next;
    if (user == SIZE_MAX) return 0;
    eos = chat_search(t, user, "eos_token");
    next = chat_search(t, user + 1, "<|");
    return eos != SIZE_MAX && eos < next;
}

/* The family's name, or null. The order of the questions matters: markers overlap. */
static const char *chat_family(vocab_text t)
{
    if (chat_has(t, "<|im_start|>")) {
        if (chat_has(t, "<|im_sep|>")) return "phi4";
        return chat_has(t, "<end_of_utterance>") ? 0 : "chatml";
    }
    if (chat_has(t, "[INST]")) return chat_mistral_name(t);
    if (chat_has(t, "<|assistant|>") && chat_has(t, "<|end|>")) return "phi3";
    if (chat_has(t, "[gMASK]<sop>")) return 0;
    if (chat_closes_with_eos(t)) return "zephyr-eos";
    if (chat_has(t, "<|assistant|>") && chat_has(t, "<|user|>"))
        return chat_has(t, "</s>") ? "falcon3" : 0;
    if (chat_has(t, "<|user|>") && chat_has(t, "<|endoftext|>")) return "zephyr";
    if (chat_has(t, "<start_of_turn>")) return "gemma";
    if (chat_has(t, "GPT4 Correct ")) return "openchat";
    if (chat_has(t, "USER: ") && chat_has(t, "ASSISTANT: "))
        return chat_has(t, "SYSTEM: ") ? "vicuna-orca" : "vicuna";
    if (chat_has(t, "### Instruction:") && chat_has(t, "<|EOT|>")) return "deepseek";
    if (chat_has(t, "<|start_header_id|>") && chat_has(t, "<|end_header_id|>")) return "llama3";
    if (chat_has(t, "'Assistant: ' + message['content'] + eos_token")) return "deepseek2";
    if (chat_has(t, CHAT_ASSISTANT_MARK) && chat_has(t, CHAT_USER_MARK)) return "deepseek3";
    return 0;
}

/* The end of a literal that the template writes out up to the marker; SIZE_MAX unless it is plain
   text throughout. */
static size_t chat_literal_end(vocab_text t, size_t from, char quote, const char *marker)
{
    size_t stop = chat_search(t, from, marker);
    if (stop == SIZE_MAX || stop == from) return SIZE_MAX;
    for (size_t at = from; at < stop; ++at) {
        if (t.data[at] == quote || t.data[at] == '{' || t.data[at] == '}') return SIZE_MAX;
        if (t.data[at] == '\\') at++;
    }
    return stop;
}

/* Copies a literal, its escapes resolved; 0 when memory ran out. */
static int chat_copy_literal(vocab_text t, size_t from, size_t stop, tokenizer_text *out)
{
    for (size_t at = from; at < stop; ++at) {
        char c = t.data[at];
        if (c == '\\' && at + 1 < stop) {
            c = t.data[++at];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        if (!tokenizer_append(out, &c, 1)) return 0;
    }
    return 1;
}

/* ChatML templates may put in a system message of their own: a literal between the markers.
   0 when memory ran out. */
static int chat_find_system(chat *c, vocab_text t)
{
    static const char open[] = "<|im_start|>system";
    size_t at = 0, stop;
    while ((at = chat_search(t, at, open)) != SIZE_MAX) {
        char quote = at > 0 ? t.data[at - 1] : '\'';
        at += sizeof open - 1;
        if (at < t.size && t.data[at] == '\n')
            at += 1;
        else if (at + 1 < t.size && t.data[at] == '\\' && t.data[at + 1] == 'n')
            at += 2;
        else
            continue;
        stop = chat_literal_end(t, at, quote, "<|im_end|>");
        if (stop != SIZE_MAX) return chat_copy_literal(t, at, stop, &c->system);
    }
    return 1;
}

/* Learns a model's format from its template, or from a family's name. Returns 0, or -1 with the
   reason in `err`. */
static inline int chat_detect(chat *c, vocab_text template_text, vocab_text eos, char *err,
                              size_t errlen)
{
    const char *name;
    memset(c, 0, sizeof *c);
    if (template_text.size == 0) {
        snprintf(err, errlen, "the model file has no chat template");
        return -1;
    }
    c->format = chat_find(template_text.data, template_text.size);
    name = c->format ? c->format->name : chat_family(template_text);
    if (!name) {
        snprintf(err, errlen, "the model's chat template is of no known family: \"%.*s%s\"",
                 template_text.size > 60 ? 60 : (int)template_text.size, template_text.data,
                 template_text.size > 60 ? "..." : "");
        return -1;
    }
    c->format = chat_find(name, strlen(name));
    if ((c->format != &chat_formats[0] || chat_find_system(c, template_text)) &&
        tokenizer_append(&c->eos, eos.data, eos.size))
        return 0;
    snprintf(err, errlen, "out of memory for the chat template");
    chat_free(c);
    return -1;
}

static int chat_is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static vocab_text chat_trim(vocab_text text)
{
    while (text.size > 0 && chat_is_blank(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && chat_is_blank(text.data[text.size - 1])) text.size--;
    return text;
}

static int chat_mark(const chat *c, const char *mark, tokenizer_text *out)
{
    if (mark[0] == '\1') {
        if (!tokenizer_append(out, c->eos.data, c->eos.size)) return 0;
        mark++;
    }
    return tokenizer_append(out, mark, strlen(mark));
}

static int chat_put(const chat *c, const char *const marks[2], vocab_text held, vocab_text content,
                    tokenizer_text *out)
{
    return chat_mark(c, marks[0], out) && tokenizer_append(out, held.data, held.size) &&
           (held.size == 0 || chat_mark(c, c->format->system[1], out)) &&
           tokenizer_append(out, content.data, content.size) && chat_mark(c, marks[1], out);
}

/* What one call of chat_apply remembers between messages. */
typedef struct chat_state {
    int turns, inside;
    vocab_text held; /* a system message that waits for the user's */
} chat_state;

static int chat_add(const chat *c, const chat_message *message, chat_state *state,
                    tokenizer_text *out)
{
    const chat_format *f = c->format;
    int assistant = strcmp(message->role, "assistant") == 0;
    int system = strcmp(message->role, "system") == 0;
    vocab_text content = message->content, none = {0, 0}, held = assistant ? none : state->held;
    if ((f->habits & CHAT_TRIM) || (assistant && (f->habits & CHAT_TRIM_ASSISTANT)))
        content = chat_trim(content);
    if (system && (f->habits & CHAT_SYSTEM_IN_USER)) {
        state->held = content;
        return 1;
    }
    if (!state->inside && !chat_mark(c, state->turns++ ? f->next_turn : f->first_turn, out))
        return 0;
    state->inside = !assistant;
    if (!assistant) state->held = none;
    return chat_put(c, system ? f->system : assistant ? f->assistant : f->user, held, content, out);
}

static int chat_knows_role(const char *role)
{
    return strcmp(role, "system") == 0 || strcmp(role, "user") == 0 ||
           strcmp(role, "assistant") == 0;
}

/* Appends the chat as the text that the model reads (encode it with TOKENIZER_PARSE_SPECIAL).
   `add_assistant` opens the answer. Returns 0, or -1 with the reason in `err`. */
static inline int chat_apply(const chat *c, const chat_message *messages, size_t count,
                             int add_assistant, tokenizer_text *out, char *err, size_t errlen)
{
    chat_state state = {0};
    int ok = 1;
    for (size_t i = 0; i < count; ++i)
        if (!chat_knows_role(messages[i].role)) {
            snprintf(err, errlen,
                     "message %zu has the role \"%.40s\"; known are system, user and "
                     "assistant",
                     i, messages[i].role);
            return -1;
        }
    if (c->system.size > 0 && count > 0 && strcmp(messages[0].role, "system") != 0) {
        chat_message first = {"system", {c->system.data, c->system.size}};
        ok = chat_add(c, &first, &state, out);
    }
    for (size_t i = 0; ok && i < count; ++i) ok = chat_add(c, &messages[i], &state, out);
    if (ok && add_assistant) ok = chat_mark(c, c->format->answer, out);
    if (ok) return 0;
    snprintf(err, errlen, "out of memory for a chat of %zu messages", count);
    return -1;
}

#endif
