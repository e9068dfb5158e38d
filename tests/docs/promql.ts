// What an expression of PromQL names, by Prometheus' own grammar.
import { parser } from "@prometheus-io/lezer-promql";

export interface Mention {
  /** Series that are selected. */
  series: string;
  /** Labels that it is selected or added up by. */
  labels: string[];
}

/** @throws Error for an expression that is none. */
export function mentionsOf(expression: string): Mention[] {
  const mentions: Mention[] = [];
  /** Labels of the aggregations that the cursor is in. */
  const grouped: string[][] = [];
  const text = ({ from, to }: { from: number; to: number }) => expression.slice(from, to);

  parser.parse(expression).iterate({
    enter(node) {
      if (node.type.isError) {
        throw new Error(`not PromQL at ${node.from}: ${expression}`);
      }
      if (node.name === "AggregateExpr") {
        const labels = node.node.getChild("AggregateModifier")?.getChild("GroupingLabels");
        grouped.push((labels?.getChildren("LabelName") ?? []).map(text));
      }
      if (node.name === "VectorSelector") {
        const name = node.node.getChild("Identifier");
        if (!name) throw new Error(`a selector without a name: ${expression}`);
        const matchers = node.node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher");
        const matched = (matchers ?? []).map((matcher) => {
          const label = matcher.getChild("LabelName");
          if (!label) throw new Error(`a matcher without a label: ${expression}`);
          return text(label);
        });
        mentions.push({ series: text(name), labels: [...matched, ...grouped.flat()] });
      }
    },
    leave(node) {
      if (node.name === "AggregateExpr") grouped.pop();
    },
  });
  return mentions;
}
