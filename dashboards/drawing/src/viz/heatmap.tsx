// "heatmap" of buckets: a row for a bucket, a cell for a step, darker or lighter by its count.

import { Field, FieldType, formattedValueToString, getFieldDisplayName, getValueFormat } from '@grafana/data';
import * as d3 from 'd3';

import { Plot } from './plot';
import type { VizProps } from './props';

function scheme(name: string, dark: boolean): (share: number) => string {
  const found = (d3 as unknown as Record<string, unknown>)[`interpolate${name}`];
  const interpolate = (found ?? d3.interpolateOranges) as (share: number) => string;
  // In the dark theme Grafana turns the light-to-dark schemes round: little is dark.
  return dark ? (share) => interpolate(1 - share) : interpolate;
}

export function HeatmapViz(props: VizProps) {
  const { frames, options, timeRange, theme } = props;
  if (options.calculate) {
    throw new Error('a heatmap that works out its buckets from samples is not drawn here');
  }
  const rows = frames.flatMap((frame) => {
    const time = frame.fields.find((field) => field.type === FieldType.time);
    const values = frame.fields.filter((field) => field.type === FieldType.number);
    return time ? values.map((field) => ({ time, field, name: getFieldDisplayName(field, frame, frames) })) : [];
  });
  const most = d3.max(rows, ({ field }) => d3.max(field.values as number[])) || 1;
  const color = scheme(options.color?.scheme ?? 'Oranges', theme.isDark);
  const exponent = options.color?.exponent ?? 0.5;
  const unit = getValueFormat(options.yAxis?.unit);
  const label = (name: string) => {
    const bound = Number(name);
    return options.yAxis?.unit && Number.isFinite(bound) ? formattedValueToString(unit(bound)) : name;
  };
  const width = (time: Field) => time.config.interval ?? (time.values[1] ?? 0) - (time.values[0] ?? 0);
  const draw = (u: uPlot) =>
    rows.forEach(({ time, field }, at) => {
      const top = u.valToPos(at + 1, 'y', true);
      const bottom = u.valToPos(at, 'y', true);
      field.values.forEach((value, nth) => {
        if (!(value > 0)) {
          return;
        }
        const left = u.valToPos(time.values[nth] - width(time), 'x', true);
        const right = u.valToPos(time.values[nth], 'x', true);
        u.ctx.fillStyle = color(Math.pow(value / most, exponent));
        u.ctx.fillRect(left, top, Math.max(1, right - left - 1), bottom - top - 1);
      });
    });
  return (
    <Plot
      {...props}
      x={{ min: timeRange.from.valueOf(), max: timeRange.to.valueOf(), isTime: true, grid: false }}
      y={{
        min: 0,
        max: rows.length,
        grid: false,
        ticks: rows.map(({ name }, at) => ({ at: at + 1, text: label(name) })),
      }}
      draw={draw}
    />
  );
}
