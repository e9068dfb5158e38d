// A function that passes a chat on to its provider, and the answer back: what chat would be without a gate.
import process from "node:process";

export default {
  async fetch(request: Request): Promise<Response> {
    const { OPENAI_BASE_URL, OPENAI_API_KEY } = process.env;
    const answer = await fetch(`${OPENAI_BASE_URL}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${OPENAI_API_KEY}` },
      body: await request.text(),
    });
    return new Response(answer.body, { status: answer.status, headers: answer.headers });
  },
};
