// "state-timeline" and "status-history": a row for a series, a stretch for a state.

import { Field, FieldType, formattedValueToString, getFieldDisplayName } from '@grafana/data';
import type { VizLegendItem } from '@grafana/ui';

import { Plot } from './plot';
import type { VizProps } from './props';

interface Stretch {
  from: number;
  to: number;
  text: string;
  color: string;
}

interface Row {
  name: string;
  stretches: Stretch[];
}

/** A state lasts until the next sample, and over a missing one for a step. */
function stretches(time: Field, field: Field, end: number): Stretch[] {
  const found: Stretch[] = [];
  const step = time.config.interval ?? Infinity;
  field.values.forEach((value, at) => {
    if (value === null || value === undefined) {
      return;
    }
    const from: number = time.values[at];
    const to = Math.min(time.values[at + 1] ?? end, from + step, end);
    const shown = field.display?.(value);
    const text = shown ? formattedValueToString(shown) : String(value);
    const last = found[found.length - 1];
    if (last && last.text === text && last.to >= from) {
      last.to = to;
    } else {
      found.push({ from, to, text, color: shown?.color ?? '#888' });
    }
  });
  return found;
}

export function StateTimelineViz(props: VizProps) {
  const { frames, options, timeRange, theme } = props;
  const end = timeRange.to.valueOf();
  const rows: Row[] = frames.flatMap((frame) => {
    const time = frame.fields.find((field) => field.type === FieldType.time);
    if (!time) {
      return [];
    }
    return frame.fields
      .filter((field) => field !== time && field.type !== FieldType.time)
      .map((field) => ({ name: getFieldDisplayName(field, frame, frames), stretches: stretches(time, field, end) }));
  });
  const states = new Map(rows.flatMap((row) => row.stretches.map(({ text, color }) => [text, color] as const)));
  const items: VizLegendItem[] = [...states].map(([label, color]) => ({ label, color, yAxis: 1 }));
  const tall = options.rowHeight ?? 0.9;
  const centre = (at: number) => rows.length - 1 - at;
  const draw = (u: uPlot) =>
    rows.forEach((row, at) => {
      const top = u.valToPos(centre(at) + tall / 2, 'y', true);
      const bottom = u.valToPos(centre(at) - tall / 2, 'y', true);
      for (const { from, to, text, color } of row.stretches) {
        const left = Math.max(u.valToPos(from, 'x', true), u.bbox.left);
        const right = u.valToPos(to, 'x', true);
        u.ctx.globalAlpha = 0.7;
        u.ctx.fillStyle = color;
        u.ctx.fillRect(left, top, right - left, bottom - top);
        u.ctx.globalAlpha = 1;
        u.ctx.font = `500 12px ${theme.typography.fontFamily}`;
        if (options.showValue !== 'never' && u.ctx.measureText(text).width + 8 < right - left) {
          u.ctx.fillStyle = theme.colors.text.maxContrast;
          u.ctx.textBaseline = 'middle';
          u.ctx.textAlign = 'left';
          u.ctx.fillText(text, left + 6, (top + bottom) / 2);
        }
      }
    });
  return (
    <Plot
      {...props}
      x={{ min: timeRange.from.valueOf(), max: end, isTime: true, grid: false }}
      y={{
        min: -0.5,
        max: rows.length - 0.5,
        grid: false,
        ticks: rows.map(({ name }, at) => ({ at: centre(at), text: name })),
      }}
      draw={draw}
      legend={
        options.legend?.showLegend === false ? undefined : { items, placement: options.legend?.placement ?? 'bottom' }
      }
    />
  );
}
