/* Texts and what the tokenizer must make of them: words of each pre-tokenizer, chats of each
   family. In words, | stands between two words and ~ for a line feed. */
#ifndef TOKENIZER_CASES_H
#define TOKENIZER_CASES_H

#include "../examples/decode/chat.h"
#include "../examples/decode/pretokenizer.h"

#define ARABIC_FOUR "\xd9\xa4"     /* a number that is no ASCII digit */
#define SUPER_TWO   "\xc2\xb2"     /* a number that is no decimal digit */
#define E_ACUTE     "\xc3\xa9"     /* a letter */
#define NO_BREAK    "\xc2\xa0"     /* a space */
#define NEXT_LINE   "\xc2\x85"     /* a space that is a control character */
#define IDEOGRAPHIC "\xe3\x80\x80" /* a space of three bytes */
#define REPLACED    "\xef\xbf\xbd"
#define EMOJI       "\xf0\x9f\x98\x80"

typedef struct word_case {
    const char *text, *words;
} word_case;

static const word_case gpt2_cases[] = {
    {"", ""},
    {"Hello world", "Hello| world"},
    {"don't we're I'll he'd I've I'm it's", "don|'t| we|'re| I|'ll| he|'d| I|'ve| I|'m| it|'s"},
    {"DON'T 'x 'r 'l '", "DON|'|T| '|x| '|r| '|l| '"},
    {"'tis 'sup", "'t|is| '|sup"},
    {"a1b22 333", "a|1|b|22| 333"},
    {"12" ARABIC_FOUR SUPER_TWO "x", "12" ARABIC_FOUR SUPER_TWO "|x"},
    {"na" E_ACUTE "ve caf" E_ACUTE, "na" E_ACUTE "ve| caf" E_ACUTE},
    {"a  b", "a| | b"},
    {"a   b  ", "a|  | b|  "},
    {"  ", "  "},
    {" ", " "},
    {"a\n\n\nb", "a|~~|~|b"},
    {"a\n b", "a|~| b"},
    {"a\n  b", "a|~ | b"},
    {"a\tb", "a|\t|b"},
    {"a" NO_BREAK "b", "a|" NO_BREAK "|b"},
    {"a " NEXT_LINE IDEOGRAPHIC "b", "a| " NEXT_LINE "|" IDEOGRAPHIC "|b"},
    {"a\x1c"
     "b",
     "a|\x1c|b"},
    {"x+=y; (z)", "x|+=|y|;| (|z|)"},
    {EMOJI "! " EMOJI "a", EMOJI "!| " EMOJI "|a"},
    {"\xff\xc3(", REPLACED REPLACED "("},
    {"a\xe2\x82", "a|" REPLACED REPLACED},
};

static const word_case smollm_cases[] = {
    {"in 1999, a2", "in| |1|9|9|9|,| a|2"},
    {"x  12", "x|  |1|2"},
    {ARABIC_FOUR SUPER_TWO "0", ARABIC_FOUR "|" SUPER_TWO "|0"},
    {"I'll 've  go", "I|'ll| '|ve| | go"},
    {"\n\n7\n", "~~|7|~"},
};

static const word_case llama3_cases[] = {
    {"12345678 9", "123|456|78| |9"},
    {"DON'T it's I'LLx 'x 'tis", "DON|'T| it|'s| I|'LL|x| '|x| '|tis"},
    {"a\tb\"c (d", "a|\tb|\"c| (|d"},
    {"end.\n\nNew", "end|.~~|New"},
    {"a \n \n  b", "a| ~ ~| | b"},
    {"a\r\n\r\nb", "a|\r~\r~|b"},
    {"a\nb", "a|~|b"},
    {"x  y ", "x| | y| "},
    {" .. x", " ..| x"},
    {NO_BREAK "a" NO_BREAK "1", NO_BREAK "a|" NO_BREAK "|1"},
    {"\xff"
     "a",
     REPLACED "a"},
};

static const word_case qwen2_cases[] = {
    {"12345 6", "1|2|3|4|5| |6"},
    {"We'Re\n\n  ok", "We|'Re|~~| | ok"},
    {"$5.00", "$|5|.|0|0"},
};

static const word_case default_cases[] = {
    {"don't", "don|'|t"},
    {"a 12345 b", "a| |123|45| b"},
    {"1" ARABIC_FOUR "4567", "1" ARABIC_FOUR "|456|7"},
    {"x=y#z", "x|=|y|#|z"},
    {"hi , you", "hi| |,| you"},
};

typedef struct chat_case {
    const char *template_text; /* the markers by which a family is known, or its name */
    const char *family;        /* null: unknown */
    const char *text;          /* system s, user u, assistant a, user v, and the answer opened */
} chat_case;

static const chat_case chat_cases[] = {
    {"{{'<|im_start|>' + message['role'] + '\n'}}<|im_end|>", "chatml",
     "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\n u <|im_end|>\n"
     "<|im_start|>assistant\n a "
     "<|im_end|>\n<|im_start|>user\nv<|im_end|>\n<|im_start|>assistant\n"},
    {"<|im_start|>..<|im_sep|>", "phi4",
     "<|im_start|>system<|im_sep|>s<|im_end|><|im_start|>user<|im_sep|> u <|im_end|>"
     "<|im_start|>assistant<|im_sep|> a <|im_end|><|im_start|>user<|im_sep|>v<|im_end|>"
     "<|im_start|>assistant<|im_sep|>"},
    {"'<|assistant|>' .. '<|end|>'", "phi3",
     "<|system|>\ns<|end|>\n<|user|>\n u <|end|>\n<|assistant|>\n a <|end|>\n<|user|>\nv<|end|>\n"
     "<|assistant|>\n"},
    {"'<|user|>\n' + message['content'] + eos_token .. '<|assistant|>\n'", "zephyr-eos",
     "<|system|>\ns[EOS]\n<|user|>\n u [EOS]\n<|assistant|>\n a [EOS]\n<|user|>\nv[EOS]\n"
     "<|assistant|>\n"},
    {"'<|user|>' .. <|endoftext|>", "zephyr",
     "<|system|>\ns<|endoftext|>\n<|user|>\n u <|endoftext|>\n<|assistant|>\n a <|endoftext|>\n"
     "<|user|>\nv<|endoftext|>\n<|assistant|>\n"},
    {"<|start_header_id|> .. <|end_header_id|>", "llama3",
     "<|start_header_id|>system<|end_header_id|>\n\ns<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nu<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\na<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nv<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"[INST]", "llama2", "[INST] s\n u  [/INST] a </s>[INST] v [/INST]"},
    {"[INST] <<SYS>>", "llama2-sys",
     "[INST] <<SYS>>\ns\n<</SYS>>\n\n u  [/INST] a </s>[INST] v [/INST]"},
    {"bos_token + '[INST] <<SYS>>", "llama2-sys-bos",
     "[INST] <<SYS>>\ns\n<</SYS>>\n\n u  [/INST] a </s><s>[INST] v [/INST]"},
    {"[INST] <<SYS>> content.strip()", "llama2-sys-strip",
     "[INST] <<SYS>>\ns\n<</SYS>>\n\nu [/INST]a</s>[INST] v [/INST]"},
    {"' [INST] ' + system_message", "mistral-v1",
     " [INST] s\n\n u  [/INST]  a </s> [INST] v [/INST]"},
    {"[AVAILABLE_TOOLS] '[INST]'", "mistral-v3", "[INST] s\n\n u [/INST] a</s>[INST] v[/INST]"},
    {"[AVAILABLE_TOOLS] \"[INST]\"", "mistral-v3-tekken",
     "[INST]s\n\n u [/INST] a </s>[INST]v[/INST]"},
    {"[SYSTEM_PROMPT] [INST]", "mistral-v7",
     "[SYSTEM_PROMPT] s[/SYSTEM_PROMPT][INST]  u [/INST]  a </s>[INST] v[/INST]"},
    {"<start_of_turn>", "gemma",
     "<start_of_turn>user\ns\n\nu<end_of_turn>\n<start_of_turn>model\na<end_of_turn>\n"
     "<start_of_turn>user\nv<end_of_turn>\n<start_of_turn>model\n"},
    {"vicuna", "vicuna", "s\n\nUSER:  u \nASSISTANT:  a </s>\nUSER: v\nASSISTANT:"},
    {"deepseek3", "deepseek3",
     "s\n\n" CHAT_USER_MARK " u " CHAT_ASSISTANT_MARK " a " CHAT_SENTENCE_END CHAT_USER_MARK
     "v" CHAT_ASSISTANT_MARK},
    {"{{ message.content }}", 0, 0},
    {"", 0, 0},
};

/* Templates that put in a system message of their own, and the message. */
static const char *const chat_system_cases[][2] = {
    {"{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
     "You are a lamp.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role']}}",
     "You are a lamp."},
    {"{{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}{% else %}"
     "{{ \"<|im_start|>system\\nIt's \\\"here\\\"<|im_end|>\\n\" }}",
     "It's \"here\""},
    {"{{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>' }}", ""},
};

#endif
