// "barchart" and "histogram": groups of bars on the library's axes.

import {
  DataFrame,
  Field,
  FieldType,
  GrafanaTheme2,
  buildHistogram,
  dateTimeFormat,
  formattedValueToString,
  getFieldDisplayName,
  getFieldSeriesColor,
  histogramFieldsToFrame,
  outerJoinDataFrames,
} from '@grafana/data';
import type { VizLegendItem } from '@grafana/ui';
import * as d3 from 'd3';
import type uPlot from 'uplot';

import { AxisSpec, Plot } from './plot';
import type { VizProps } from './props';

interface Group {
  label: string;
  values: Array<{ value: number; text: string; color: string }>;
}

const finite = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);

function colorOf(field: Field, row: number, theme: GrafanaTheme2): string {
  const byValue = field.config.color?.mode === 'thresholds' || (field.config.mappings?.length ?? 0) > 0;
  const shown = byValue ? field.display?.(field.values[row]).color : undefined;
  return shown ?? getFieldSeriesColor(field, theme).color;
}

function groupsOf(
  frame: DataFrame,
  x: Field | undefined,
  bars: Field[],
  theme: GrafanaTheme2,
  timeZone: string
): Group[] {
  return Array.from({ length: frame.length }, (_, row) => ({
    label: x
      ? x.type === FieldType.time
        ? dateTimeFormat(x.values[row], { timeZone, format: 'HH:mm:ss' })
        : String(x.values[row])
      : '',
    values: bars.map((field) => ({
      value: finite(field.values[row]),
      text: field.display ? formattedValueToString(field.display(field.values[row])) : '',
      color: colorOf(field, row, theme),
    })),
  }));
}

function valueAxis(groups: Group[], stacked: boolean, field: Field): AxisSpec {
  const sums = groups.flatMap(({ values }) =>
    stacked ? [d3.sum(values, (one) => one.value)] : values.map((one) => one.value)
  );
  const [min, max] = d3.nice(Math.min(0, ...sums), Math.max(0, ...sums) || 1, 5);
  const { display, config } = field;
  const format = (value: number) => (display ? formattedValueToString(display(value)) : String(value));
  return { min: config.min ?? min, max: config.max ?? max, format };
}

/** Paint one bar from `from` to `to` of the list's axis and from `low` to `high` of the value's. */
function paint(
  u: uPlot,
  horizontal: boolean,
  from: number,
  to: number,
  low: number,
  high: number,
  color: string
): void {
  const [list, value] = horizontal ? (['y', 'x'] as const) : (['x', 'y'] as const);
  const [a, b] = [u.valToPos(from, list, true), u.valToPos(to, list, true)];
  const [c, d] = [u.valToPos(low, value, true), u.valToPos(high, value, true)];
  const [x0, x1, y0, y1] = horizontal ? [c, d, a, b] : [a, b, c, d];
  u.ctx.fillStyle = color;
  u.ctx.globalAlpha = 0.8;
  u.ctx.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
  u.ctx.globalAlpha = 1;
  u.ctx.strokeStyle = color;
  u.ctx.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
}

function legendOf(props: VizProps, frame: DataFrame, bars: Field[]) {
  const items: VizLegendItem[] = bars.map((field) => ({
    label: getFieldDisplayName(field, frame, [frame]),
    color: getFieldSeriesColor(field, props.theme).color,
    yAxis: 1,
  }));
  return props.options.legend?.showLegend === false
    ? undefined
    : { items, placement: props.options.legend?.placement ?? 'bottom' };
}

export function BarChartViz(props: VizProps) {
  const { frames, options, theme, timeZone } = props;
  const frame = frames.length > 1 ? (outerJoinDataFrames({ frames }) ?? frames[0]) : frames[0];
  const named = frame.fields.find((field) => field.name === options.xField);
  const x =
    named ??
    frame.fields.find((field) => field.type === FieldType.string) ??
    frame.fields.find((field) => field.type === FieldType.time);
  // Colours count the bars only, not the column with their names.
  const bars = frame.fields
    .filter((field) => field.type === FieldType.number && field !== x)
    .map((field, seriesIndex) => ({ ...field, state: { ...field.state, seriesIndex } }));
  const groups = groupsOf(frame, x, bars, theme, timeZone);
  const stacked = options.stacking === 'normal' || options.stacking === 'percent';
  const horizontal = options.orientation === 'horizontal';
  const place = (at: number) => (horizontal ? groups.length - 1 - at : at);
  const list: AxisSpec = {
    min: -0.5,
    max: groups.length - 0.5,
    grid: false,
    ticks: groups.map(({ label }, at) => ({ at: place(at), text: label })),
  };
  const values = valueAxis(groups, stacked, bars[0]);
  const wide = options.groupWidth ?? 0.7;
  const draw = (u: uPlot) =>
    groups.forEach(({ values: own }, at) => {
      const each = stacked ? wide : wide / own.length;
      let base = 0;
      own.forEach(({ value, color }, nth) => {
        const from = place(at) - wide / 2 + (stacked ? 0 : nth * each);
        paint(u, horizontal, from, from + each * 0.95, base, base + value, color);
        base += stacked ? value : 0;
      });
    });
  const [onX, onY] = horizontal ? [values, list] : [list, values];
  return <Plot {...props} x={onX} y={onY} draw={draw} legend={legendOf(props, frame, bars)} />;
}

export function HistogramViz(props: VizProps) {
  const { frames, options, theme } = props;
  const fields = buildHistogram(frames, { combine: true, ...options }, theme);
  if (!fields) {
    return null;
  }
  const frame = histogramFieldsToFrame(fields, theme);
  const { xMin, xMax, counts } = fields;
  const groups = groupsOf(frame, undefined, counts, theme, props.timeZone);
  const format = (value: number) => (xMin.display ? formattedValueToString(xMin.display(value)) : String(value));
  const x: AxisSpec = { min: xMin.values[0] ?? 0, max: xMax.values[xMax.values.length - 1] ?? 1, format, grid: false };
  const y = { ...valueAxis(groups, false, counts[0]), format: (value: number) => String(value) };
  const draw = (u: uPlot) =>
    groups.forEach(({ values }, row) =>
      values.forEach(({ value }, nth) => {
        const color = getFieldSeriesColor(counts[nth], theme).color;
        paint(u, false, xMin.values[row], xMax.values[row], 0, value, color);
      })
    );
  return <Plot {...props} x={x} y={y} draw={draw} legend={legendOf(props, frame, counts)} />;
}
