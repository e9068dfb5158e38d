// Large bodies, kept in the pieces that they come in: joined, or as a text, they would be in memory twice.

export type Pieces = Uint8Array<ArrayBuffer>[];

/** All that a body has, unless it is longer than `most` bytes: then what has come of it so far. */
export async function readPieces(
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  most = Number.POSITIVE_INFINITY,
): Promise<{ pieces: Pieces; isWhole: boolean }> {
  const pieces: Pieces = [];
  for (let bytes = 0; bytes <= most; ) {
    const { done, value } = await reader.read();
    if (done) return { pieces, isWhole: true };
    bytes += value.byteLength;
    pieces.push(value);
  }
  return { pieces, isWhole: false };
}

/** All of an answer's body. */
export async function piecesOf({ body }: Response): Promise<Pieces> {
  return body ? (await readPieces(body.getReader())).pieces : [];
}

/** A body of these pieces, then of what `rest` still has. Each is forgotten once it is read. */
export function bodyOf(
  pieces: Pieces,
  rest?: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    async pull(controller) {
      const value = pieces.shift() ?? (await rest?.read())?.value;
      if (value) controller.enqueue(value);
      else controller.close();
    },
    cancel: (reason) => rest?.cancel(reason),
  });
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
/** Bytes of a text that is kept in an outline, with the quote before it; and of the outline. */
const MOST_TEXT = 257;
const MOST_OUTLINE = 1_048_576;

/**
 * JSON without its long texts, which are empty in it.
 * @throws SyntaxError for what is not JSON, or is still long.
 */
export function outlineOf(pieces: Pieces): unknown {
  const outline: number[] = [];
  /** Where in the outline the text begins that is being read; -1 outside of one. */
  let text = -1;
  let isEscaped = false;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at] as number;
      const isQuote = byte === QUOTE && !isEscaped;
      isEscaped = byte === BACKSLASH && !isEscaped;
      if (isQuote && text >= 0 && outline.length - text > MOST_TEXT) outline.length = text + 1;
      if (text < 0 || isQuote || outline.length - text <= MOST_TEXT) outline.push(byte);
      if (isQuote) text = text < 0 ? outline.length - 1 : -1;
      if (outline.length > MOST_OUTLINE) throw new SyntaxError("JSON that is too long.");
    }
  }
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(outline)));
}
