import type { JSX } from "preact";
import * as format from "../format";
import type { Box } from "../layout/types";
import type { Graph, GraphGroup, GraphNode } from "../model/graph";
import type { ShownMeasure } from "../model/measures";
import type { Stats } from "../model/stats";
import { ChevronDown, ChevronRight } from "../ui/icons";

/** The cards and headers of the map: buttons that are positioned in world units. */

export interface NodeLayerProps {
  graph: Graph;
  stats: ReadonlyMap<string, Stats>;
  boxes: ReadonlyMap<string, Box>;
  isOpen: (group: string) => boolean;
  measure: ShownMeasure;
  /** Length of the range in seconds. */
  seconds: number;
  selected: string;
  /** Cards whose name is shown at any zoom. */
  named: ReadonlySet<string>;
  /** The ends of the highlighted links; all others are faded. */
  lit: ReadonlySet<string> | undefined;
  /** The only card or header in the tab order. */
  tabStop: string;
  onSelect: (key: string) => void;
  onToggle: (group: string) => void;
}

/** Height of the header of an open group, in world units. */
export const HEADER_HEIGHT = 30;

/** Short names as in kubectl; empty for Deployments, the most frequent kind. */
const SHORT_KINDS: Record<string, string> = {
  CronJob: "cj",
  DaemonSet: "ds",
  Deployment: "",
  Job: "job",
  Node: "node",
  Pod: "po",
  ReplicaSet: "rs",
  Service: "svc",
  StatefulSet: "sts",
  "Autonomous system": "AS",
  "Cloud service": "cloud",
  "Host name": "dns",
  "Named CIDR": "cidr",
  "No name": "",
};

export function NodeLayer(props: NodeLayerProps): JSX.Element[] {
  const children: JSX.Element[] = [];
  for (const group of props.graph.groups.values()) {
    const box = props.boxes.get(group.key);
    if (!box) continue;
    if (!props.isOpen(group.key)) {
      children.push(<ClosedGroup key={group.key} group={group} box={box} {...props} />);
      continue;
    }
    children.push(<GroupHeader key={group.key} group={group} box={box} {...props} />);
    for (const node of group.members) {
      const card = props.boxes.get(node.key);
      if (card) children.push(<Card key={node.key} node={node} box={card} {...props} />);
    }
  }
  return children;
}

function place(box: Box): Record<string, string> {
  return {
    translate: `${box.x}px ${box.y}px`,
    width: `${box.width}px`,
    height: `${box.height}px`,
  };
}

/** Attributes that all buttons of nodes and groups have. */
function buttonProps(props: NodeLayerProps, key: string) {
  return {
    type: "button" as const,
    "data-key": key,
    tabIndex: key === props.tabStop ? 0 : -1,
    "aria-pressed": key === props.selected,
    onClick: () => props.onSelect(key),
  };
}

function faded(props: NodeLayerProps, key: string): string | undefined {
  return props.lit && !props.lit.has(key) ? "" : undefined;
}

function total(stats: Stats | undefined, measure: ShownMeasure): number {
  return (stats?.sent[measure] ?? 0) + (stats?.received[measure] ?? 0);
}

function rateText(props: NodeLayerProps, key: string): string {
  const rate = total(props.stats.get(key), props.measure) / props.seconds;
  return props.measure === "bytes" ? `${format.bytes(rate)}/s` : `${format.count(rate)}/s`;
}

function Card({ node, box, ...props }: NodeLayerProps & { node: GraphNode; box: Box }) {
  const stats = props.stats.get(node.key);
  const level = stats?.level ?? "unknown";
  const kind = SHORT_KINDS[node.kind] ?? node.kind;
  const trouble = level === "warning" || level === "critical" ? `, ${level}` : "";
  return (
    <button
      {...buttonProps(props, node.key)}
      class="card"
      style={place(box)}
      data-level={level}
      data-faded={faded(props, node.key)}
      data-named={props.named.has(node.key) ? "" : undefined}
    >
      <span class="card-name">{node.name}</span>
      <span class="visually-hidden">
        , {node.kind}
        {node.namespace && ` in ${node.namespace}`}, {format.plural(stats?.links ?? 0, "link")},{" "}
        {rateText(props, node.key)}
        {trouble}
      </span>
      {kind && (
        <span class="card-kind" aria-hidden="true">
          {kind}
        </span>
      )}
    </button>
  );
}

function GroupHeader({ group, box, ...props }: NodeLayerProps & { group: GraphGroup; box: Box }) {
  return (
    <div class="group-header" style={place({ ...box, height: HEADER_HEIGHT })}>
      <Chevron group={group} open={true} onToggle={props.onToggle} />
      <button
        {...buttonProps(props, group.key)}
        class="group-title"
        data-faded={faded(props, group.key)}
      >
        <span class="group-name">{group.label}</span>
        <span class="group-count">{group.members.length}</span>
        <span class="visually-hidden">
          {memberNoun(group)}s, {rateText(props, group.key)}, {groupKind(group)}
        </span>
      </button>
    </div>
  );
}

function ClosedGroup({ group, box, ...props }: NodeLayerProps & { group: GraphGroup; box: Box }) {
  const stats = props.stats.get(group.key);
  const trouble = (stats?.warning ?? 0) + (stats?.critical ?? 0);
  const troubleText = `${format.plural(trouble, "link")} with problems`;
  return (
    <div class="closed-group" style={place(box)} data-faded={faded(props, group.key)}>
      <Chevron group={group} open={false} onToggle={props.onToggle} />
      <button
        {...buttonProps(props, group.key)}
        class="closed-title"
        onDblClick={() => props.onToggle(group.key)}
      >
        <span class="group-name">{group.label}</span>
        <span class="closed-line">
          {format.plural(group.members.length, memberNoun(group))} · {rateText(props, group.key)}
        </span>
        <span class="visually-hidden">
          , {groupKind(group)}, collapsed{trouble > 0 && `, ${troubleText}`}
        </span>
      </button>
      {trouble > 0 && (
        <span
          class="badge"
          data-level={stats?.critical ? "critical" : "warning"}
          aria-hidden="true"
        >
          {trouble}
        </span>
      )}
    </div>
  );
}

/** Expands or collapses a group. Keyboard users press E on the group instead. */
function Chevron(props: { group: GraphGroup; open: boolean; onToggle: (group: string) => void }) {
  const { group, open } = props;
  return (
    <button
      type="button"
      class="chevron"
      tabIndex={-1}
      aria-expanded={open}
      aria-label={`${open ? "Collapse" : "Expand"} ${group.label}`}
      onClick={() => props.onToggle(group.key)}
    >
      {open ? <ChevronDown /> : <ChevronRight />}
    </button>
  );
}

function groupKind(group: GraphGroup): string {
  return group.type === "namespace" ? "namespace" : "group";
}

function memberNoun(group: GraphGroup): string {
  if (group.type === "nodes") return "node";
  return group.type === "namespace" || group.type === "unknown" ? "workload" : "name";
}
