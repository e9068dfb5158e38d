// perf script -i perf.data | npx tsx scripts/docs/flame_graph.ts > docs/images/flame_graph.svg
// A flame graph of what the plpgsql functions of a call spend their time in: stacks from the innermost function on, of which
// the steps below are kept. Others have no frame of their own, and their time is that of the step that they are part of.
import { createInterface } from "node:readline";

/** The innermost function: what is above is who called it. */
const FUNCTION = "plpgsql_exec_function";

/** Postgres's own names, and what they do. */
const STEPS: Record<string, string> = {
  exec_stmt_execsql: "statement",
  exec_for_query: "loop over a statement",
  exec_run_select: "query",
  exec_assign_expr: "assignment",
  exec_eval_boolean: "condition",
  exec_stmt_return: "return",
  ExecInitExprWithParams: "set up an expression",
  CheckExprStillValid: "set up an expression: its steps",
  GetCachedPlan: "check the plan",
  standard_ExecutorStart: "set up the plan",
  standard_ExecutorRun: "run",
  standard_ExecutorEnd: "end",
  ExecInsert: "insert",
  ExecUpdate: "update",
  ExecConstraints: "check constraints",
  stringToNode: "read a constraint",
  ExecInsertIndexTuples: "write indexes",
  heap_insert: "write the row",
  heap_update: "write the row",
  ExecLockRows: "lock rows",
  index_getnext_slot: "search an index",
  ExecInterpExpr: "evaluate",
  fmgr_security_definer: "settings of a function",
  jsonb_path_match_internal: "JSON path",
  jsonb_path_query_first_internal: "JSON path",
  XLogInsert: "log",
};

interface Frame {
  samples: number;
  below: Map<string, Frame>;
}

const WIDTH = 1200;
const ROW = 18;
const newFrame = (): Frame => ({ samples: 0, below: new Map() });

const root = newFrame();
let stack: string[] = [];
for await (const line of createInterface({ input: process.stdin })) {
  const name = /^\s+[0-9a-f]+ ([^+\s]+)/.exec(line)?.[1];
  if (name !== undefined) stack.push(name.replace(/\..*$/, ""));
  else if (line === "" && stack.length > 0) {
    add(stack);
    stack = [];
  }
}
process.stdout.write(drawing());

/** `names`: the innermost first, as perf prints them. */
function add(names: string[]): void {
  const end = names.indexOf(FUNCTION);
  if (end < 0) return;
  let frame = root;
  frame.samples++;
  let last = "";
  for (const name of names.slice(0, end).toReversed()) {
    const step = STEPS[name];
    // An expression that calls another one is one step.
    if (step === undefined || step === last) continue;
    last = step;
    const below = frame.below.get(step) ?? newFrame();
    frame.below.set(step, below);
    below.samples++;
    frame = below;
  }
}

function drawing(): string {
  const boxes: string[] = [];
  let deepest = 0;
  const draw = (name: string, frame: Frame, left: number, depth: number) => {
    const width = (frame.samples / root.samples) * WIDTH;
    if (width < 2) return;
    deepest = Math.max(deepest, depth);
    const share = `${((100 * frame.samples) / root.samples).toFixed(1)} %`;
    const letters = Math.floor((width - 6) / 5.8);
    const shown =
      name.length <= letters ? name : letters > 3 ? `${name.slice(0, letters - 1)}…` : "";
    boxes.push(
      `<g><title>${name}: ${share}</title><rect x="${left.toFixed(1)}" y="${depth * ROW}" width="${Math.max(width - 0.5, 1).toFixed(1)}" ` +
        `height="${ROW - 1}" fill="hsl(${18 + (depth % 5) * 7} 85% ${68 + (depth % 3) * 5}%)"/>` +
        `<text x="${(left + 3).toFixed(1)}" y="${depth * ROW + 12}">${shown}</text></g>`,
    );
    let at = left;
    for (const [step, below] of [...frame.below].sort(([, a], [, b]) => b.samples - a.samples)) {
      draw(step, below, at, depth + 1);
      at += (below.samples / root.samples) * WIDTH;
    }
  };
  draw(`functions of a call (${root.samples} samples)`, root, 0, 0);
  const height = (deepest + 1) * ROW;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">\n` +
    "<title>What the functions of a call spend their time in</title>\n" +
    `<rect width="${WIDTH}" height="${height}" fill="white"/>\n${boxes.join("\n")}\n</svg>\n`
  );
}
