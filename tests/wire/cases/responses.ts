// What only the Responses API has: items that come back in the next turn, files, and what is refused by name.
import { events, json, type RawAnswer } from "../provider.ts";
import { event, openaiResponses, response } from "../shapes/openai_responses.ts";
import type { Told } from "../shapes/wire.ts";
import type { Expected, Target, WireCase } from "./case.ts";
import { CLAUDE, CODEX, COMPATIBLE_TARGETS, GEMINI, GPT } from "./targets.ts";

const { deepseek, groq } = COMPATIBLE_TARGETS;
/** Through this door OpenAI is asked by its own Responses API. */
const MINI: Target = { ...GPT, wire: openaiResponses };

const REPORT = { input_tokens: 100, output_tokens: 20 };
const ENCRYPTED = "gAAAAB-encrypted";
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const INCLUDE = { include: ["reasoning.encrypted_content"] };

const told = ({ wire }: Target, more: Told = {}): Told => ({
  text: "Yes",
  usage: wire.usage(100, 20),
  ...more,
});
const whole = (target: Target, more?: Told) => json(target.wire.whole(told(target, more)));

/** OpenAI's reasoning, of which nothing can be read. */
const hidden = { id: "rs_of_openai", type: "reasoning", summary: [], encrypted_content: ENCRYPTED };
const hiddenWhole = json(response(told(CODEX), [hidden]));
const hiddenStream = events([
  ...openaiResponses.begin(told(CODEX)),
  event("response.output_item.added", {
    output_index: 0,
    item: { ...hidden, encrypted_content: "" },
  }),
  event("response.output_item.done", { output_index: 0, item: hidden }),
  ...openaiResponses.content(told(CODEX)),
  ...openaiResponses.end(told(CODEX)),
]);

function asked(
  name: string,
  target: Target,
  request: Record<string, unknown>,
  expected: Partial<Expected>,
  answer: RawAnswer = whole(target),
  stream = false,
): WireCase {
  return {
    name: `responses of ${target.provider}/${target.model}: ${name}`,
    target,
    endpoint: "responses",
    stream,
    request,
    answers: [answer],
    expected: { booked: { exactly: REPORT }, ...expected },
  };
}

/** A turn with reasoning and a tool, as a client sends it back. */
const history = (encrypted?: string) => ({
  input: [
    { role: "user", content: "Weather? MARKER" },
    {
      type: "reasoning",
      id: "rs_of_ours",
      summary: [{ type: "summary_text", text: "let me see" }],
      ...(encrypted && { encrypted_content: encrypted }),
    },
    {
      type: "function_call",
      id: "fc_of_ours",
      status: "completed",
      call_id: "call_1",
      name: "weather",
      arguments: '{"city":"Cork"}',
    },
    { type: "function_call_output", call_id: "call_1", output: "It rains." },
  ],
  tools: [{ type: "function", name: "weather", parameters: { type: "object" }, strict: false }],
});
const envelope = (signatures: object) => `spendgate:${btoa(JSON.stringify(signatures))}`;
const OURS = ["rs_of_ours", "fc_of_ours"];

const reasoning: WireCase[] = [
  asked(
    "encrypted reasoning is an item where it is asked for",
    CODEX,
    INCLUDE,
    { seen: [ENCRYPTED] },
    hiddenWhole,
  ),
  asked(
    "and so while it streams",
    CODEX,
    INCLUDE,
    { text: "Yes", seen: [ENCRYPTED] },
    hiddenStream,
    true,
  ),
  asked(
    "nobody asked for a summary, so OpenAI is not",
    CODEX,
    { reasoning: { effort: "low" } },
    {
      sent: { has: ['"effort":"low"'], hasNot: ['"summary"'] },
    },
  ),
  asked("it goes back with the tool's answer, without our ids", CODEX, history(ENCRYPTED), {
    sent: {
      has: [
        `"encrypted_content":"${ENCRYPTED}"`,
        '"call_id":"call_1"',
        '"output":"It rains."',
        '"store":false',
      ],
      hasNot: [...OURS, "item_reference"],
    },
  }),
  asked(
    "a signature of Claude's goes back in its envelope",
    CLAUDE,
    history(envelope({ anthropic: { signature: "sig-1" } })),
    {
      sent: { has: ['"signature":"sig-1"', "let me see"], hasNot: OURS },
    },
  ),
  asked("another's encrypted reasoning is left out, and said so", CLAUDE, history(ENCRYPTED), {
    sent: { has: ["It rains."], hasNot: [ENCRYPTED, "let me see"] },
    warnings: ["input.reasoning"],
  }),
  asked("a broken envelope is left out, and said so", CLAUDE, history("spendgate:@@@"), {
    sent: { hasNot: ["let me see"] },
    warnings: ["input.reasoning"],
  }),
  asked("what it reasoned goes back as it was read", deepseek, history(), {
    sent: { has: ['"reasoning_content":"let me see"', '"tool_call_id":"call_1"'] },
  }),
  asked("which takes none back is not sent it", groq, history(), {
    sent: { hasNot: ["let me see"] },
    warnings: ["input.reasoning"],
  }),
  asked(
    "nobody asked for what it reasoned",
    deepseek,
    {},
    { text: "Yes", notSeen: ["secret"] },
    whole(deepseek, { reasoning: "secret" }),
  ),
];

const files: WireCase[] = [
  asked(
    "images and files reach it as its own parts",
    MINI,
    {
      input: [
        {
          role: "user",
          content: [
            { type: "input_text", text: "What? MARKER" },
            { type: "input_image", image_url: `data:image/png;base64,${PIXEL}`, detail: "low" },
            { type: "input_image", image_url: "https://images.example/a.png" },
            { type: "input_file", file_url: "https://files.example/a.pdf" },
          ],
        },
      ],
    },
    {
      sent: {
        has: [
          '"type":"input_image"',
          '"detail":"low"',
          "https://images.example/a.png",
          "https://files.example/a.pdf",
        ],
      },
    },
  ),
  ...[MINI, CLAUDE].map((target) =>
    asked("an image in a tool's answer reaches it", target, withPicture(), {
      sent: { has: [PIXEL] },
    }),
  ),
  ...[GEMINI, groq].map((target) =>
    asked(
      "an image in a tool's answer is refused",
      target,
      withPicture(),
      refused(/^input\.2\.output$/),
    ),
  ),
];

function withPicture() {
  const [question, , call] = history().input;
  const picture = { type: "input_image", image_url: `data:image/png;base64,${PIXEL}` };
  return {
    input: [question, call, { type: "function_call_output", call_id: "call_1", output: [picture] }],
  };
}

const settings: WireCase[] = [
  asked(
    "what it has a field for reaches it, and nothing is stored",
    MINI,
    {
      ...{ instructions: "Be short.", max_output_tokens: 77, top_p: 0.5, truncation: "auto" },
      ...{ prompt_cache_key: "key-1", safety_identifier: "who-1", metadata: { a: "b" } },
      text: {
        verbosity: "low",
        format: { type: "json_schema", name: "place", schema: { type: "object" } },
      },
    },
    {
      sent: {
        has: [
          ...['"store":false', '"max_output_tokens":77', '"top_p":0.5', '"truncation":"auto"'],
          ...[
            '"key-1"',
            '"who-1"',
            '"verbosity":"low"',
            '"strict":false',
            '"service_tier":"default"',
          ],
          ...['"content":"Be short."', '"metadata":{"a":"b"}'],
        ],
        // It has no encrypted reasoning, and refuses to be asked for it.
        hasNot: ["reasoning.encrypted_content"],
      },
    },
  ),
  asked(
    "what has no place there is said by this format's names",
    CLAUDE,
    {
      ...{ text: { verbosity: "low" }, prompt_cache_key: "key-1", truncation: "auto" },
    },
    { warnings: ["prompt_cache_key", "text.verbosity", "truncation"] },
  ),
];

function refused(param: RegExp): Partial<Expected> {
  return { booked: "not held", status: 400, fails: true, calls: 0, code: "invalid_request", param };
}

/** Fields that are refused by name, each with the path that the error names. */
const REFUSED: [string, Record<string, unknown>, RegExp][] = [
  ["a response of before", { previous_response_id: "resp_1" }, /^previous_response_id$/],
  ["a conversation", { conversation: "conv_1" }, /^conversation$/],
  ["work in the background", { background: true }, /^background$/],
  ["an answer that is kept", { store: true }, /^store$/],
  ["a stored prompt", { prompt: { id: "pmpt_1" } }, /^prompt$/],
  [
    "an item by its id",
    {
      input: [
        { role: "user", content: "x" },
        { type: "item_reference", id: "msg_1" },
      ],
    },
    /^input\.1$/,
  ],
  [
    "a file by its id",
    { input: [{ role: "user", content: [{ type: "input_file", file_id: "file_1" }] }] },
    /^input\.0\.content\.0\.file_id$/,
  ],
  [
    "a file that is not there",
    { input: [{ role: "user", content: [{ type: "input_file" }] }] },
    /^input\.0\.content\.0$/,
  ],
  [
    "an answer to no call",
    { input: [{ type: "function_call_output", call_id: "x", output: "" }] },
    /^input\.0\.call_id$/,
  ],
  [
    "a file of no kind that can be bounded",
    {
      input: [
        {
          role: "user",
          content: [{ type: "input_file", file_data: "data:application/zip;base64,UEsDBA==" }],
        },
      ],
    },
    /^input$/,
  ],
  ["a search in the web", { tools: [{ type: "web_search" }] }, /^tools\.0\.type$/],
  ["a custom tool", { tools: [{ type: "custom", name: "x" }] }, /^tools\.0\.type$/],
  ["probabilities", { include: ["message.output_text.logprobs"] }, /^include\.0$/],
  ["another tier", { service_tier: "priority" }, /^service_tier$/],
  ["a field that is not known", { context_management: [] }, /^context_management$/],
  ["a kind of item that is not known", { input: [{ type: "computer_call" }] }, /^input\.0\.type$/],
];

const refusals = REFUSED.map(([what, request, param]) =>
  asked(`${what} is refused by name`, MINI, request, refused(param)),
);

export const responsesCases: WireCase[] = [...reasoning, ...files, ...settings, ...refusals];
