// What Python asks of the page, and the parts of a classic board (schemaVersion 42) that the page reads.

import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

export type VariableValue = string | string[];

export interface Job {
  board: Board;
  /** Where Prometheus's HTTP API answers, without /api/v1. */
  prometheus: string;
  /** Milliseconds since 1970. */
  from: number;
  to: number;
  /** Values that go before what the board itself proposes; "$__all" is All. */
  variables: Record<string, VariableValue>;
  scrapeIntervalSeconds: number;
  theme: 'dark' | 'light';
  timeZone: string;
}

export interface GridPos {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Target {
  refId: string;
  expr?: string;
  hide?: boolean;
  instant?: boolean;
  range?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
  legendFormat?: string;
  interval?: string;
}

// Options differ by panel type; each drawing module reads its own.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Options = Record<string, any>;

export interface PanelModel {
  id?: number;
  type: string;
  title?: string;
  description?: string;
  gridPos: GridPos;
  transparent?: boolean;
  targets?: Target[];
  options?: Options;
  fieldConfig?: FieldConfigSource;
  transformations?: DataTransformerConfig[];
  maxDataPoints?: number;
  interval?: string;
  timeFrom?: string;
  timeShift?: string;
  repeat?: string;
  repeatDirection?: 'h' | 'v';
  maxPerRow?: number;
  /** Set on the copies of a repeated panel. */
  scope?: { name: string; value: string };
  collapsed?: boolean;
  panels?: PanelModel[];
}

export interface VariableModel {
  name: string;
  type: string;
  label?: string;
  hide?: number;
  query?: string | { query?: string };
  regex?: string;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string;
  sort?: number;
  current?: { value?: VariableValue };
  options?: Array<{ value?: VariableValue }>;
}

export interface AnnotationModel {
  name: string;
  enable?: boolean;
  builtIn?: number;
  iconColor?: string;
  expr?: string;
  step?: string;
  target?: { expr?: string };
}

export interface Board {
  title?: string;
  panels?: PanelModel[];
  templating?: { list?: VariableModel[] };
  annotations?: { list?: AnnotationModel[] };
}
