// Calls the metered model, and answers as OpenAI's Responses API does.
import { type Issue, invalidRequest, type SpendgateError } from "../../_shared/errors.ts";
import { attribute } from "../../_shared/http/attribution.ts";
import { endpoint } from "../../_shared/http/body.ts";
import type { UserContext } from "../../_shared/http/serve.ts";
import { parseModelName } from "../../_shared/llm/model_name.ts";
import { callError } from "../../_shared/llm/providers/error.ts";
import { rawImages } from "../answer.ts";
import { type ModelCall, streamedAnswer, wholeAnswer } from "../model_call.ts";
import { toCall } from "./call.ts";
import { type ResponseRequest, responseRequest } from "./request.ts";
import { partsOf, ResponseFormat } from "./response.ts";

/** POST /responses. */
export const createResponse = endpoint<UserContext, ReturnType<typeof responseRequest>>(
  responseRequest,
  async (context, body) => {
    const metering = await attribute(context);
    try {
      const call = await toCall(body, parseModelName(body.model));
      const modelCall: ModelCall = { model: body.model, call, metering, api: "responses" };
      return body.stream
        ? await streamedAnswer(
            context.request,
            modelCall,
            () => new ResponseFormat(body, metering.receipt),
          )
        : await wholeResponse(body, modelCall);
    } catch (error) {
      throw inOwnFields(callError(error));
    }
  },
);

/** What cannot be bounded, or sent, is found in a prompt: here that is the input. */
function inOwnFields(error: SpendgateError): SpendgateError {
  const { issues, upstream } = error.details as { issues?: Issue[]; upstream?: unknown };
  if (upstream !== undefined || !issues?.some(({ path }) => path === "messages")) return error;
  return invalidRequest(
    issues.map(({ path, ...issue }) => ({ ...issue, path: path === "messages" ? "input" : path })),
  );
}

async function wholeResponse(body: ResponseRequest, modelCall: ModelCall): Promise<Response> {
  const { result, finishReason, headers } = await wholeAnswer(modelCall);
  const format = new ResponseFormat(body, modelCall.metering.receipt);
  for (const part of partsOf(result.content)) format.write(part);
  // A compatible provider's images are in its own answer alone.
  for (const image of rawImages(result.response?.body)) format.addImage(image);
  format.finish(finishReason, result.usage);
  return Response.json(format.response, { headers });
}
