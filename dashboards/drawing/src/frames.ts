// Prometheus series to Grafana data frames, as Grafana's Prometheus data source makes them.

import { DataFrame, DataFrameType, Field, FieldType, createDataFrame } from '@grafana/data';

import type { Target } from './job';
import type { Labels, Series } from './prometheus';

/** NaN is a hole: Grafana's data source sends it as null. */
function toNumber(text: string): number | null {
  if (text === '+Inf') {
    return Infinity;
  }
  if (text === '-Inf') {
    return -Infinity;
  }
  const value = Number(text);
  return Number.isNaN(value) ? null : value;
}

/** `up{job="a"}` for the labels of a series. */
export function seriesName(metric: Labels): string {
  const { __name__: name = '', ...labels } = metric;
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  return pairs.length ? `${name}{${pairs.join(', ')}}` : name;
}

/** The legend's text, or undefined where Grafana works it out from the labels (`__auto`). */
export function legendText(target: Target, metric: Labels, expr: string): string | undefined {
  const format = target.legendFormat ?? '';
  if (format === '__auto') {
    return Object.keys(metric).length ? undefined : expr;
  }
  if (format) {
    return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label: string) => metric[label] ?? '');
  }
  return seriesName(metric) || expr;
}

/** A frame for each series: Time, Value. */
export function seriesFrames(series: Series[], target: Target, expr: string, stepMs: number | null): DataFrame[] {
  return series.map(({ metric, values }) => {
    const legend = legendText(target, metric, expr);
    return createDataFrame({
      refId: target.refId,
      meta: { type: stepMs === null ? DataFrameType.NumericMulti : DataFrameType.TimeSeriesMulti },
      fields: [
        {
          name: 'Time',
          type: FieldType.time,
          values: values.map(([time]) => time * 1000),
          // The step tells where points are missing, so that lines break there.
          config: stepMs === null ? {} : { interval: stepMs },
        },
        {
          name: 'Value',
          type: FieldType.number,
          labels: metric,
          values: values.map(([, value]) => toNumber(value)),
          config: legend === undefined ? {} : { displayNameFromDS: legend },
        },
      ],
    });
  });
}

/** One frame for a query: Time, a column for each label, the value. */
export function tableFrame(series: Series[], target: Target, tables: number): DataFrame[] {
  if (series.length === 0) {
    return [];
  }
  const labels: string[] = [];
  for (const { metric } of series) {
    for (const label of Object.keys(metric).sort()) {
      if (!labels.includes(label)) {
        labels.push(label);
      }
    }
  }
  const rows = series.flatMap(({ metric, values }) => values.map((value) => ({ metric, value })));
  const columns: Field[] = labels.map((label) => ({
    name: label,
    type: FieldType.string,
    config: { filterable: true },
    values: rows.map(({ metric }) => metric[label] ?? ''),
  }));
  return [
    createDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, config: {}, values: rows.map(({ value }) => value[0] * 1000) },
        ...columns,
        {
          name: tables > 1 ? `Value #${target.refId}` : 'Value',
          type: FieldType.number,
          config: {},
          values: rows.map(({ value }) => toNumber(value[1])),
        },
      ],
    }),
  ];
}

const bound = (metric: Labels) => toNumber(metric.le ?? 'NaN') ?? -Infinity;

/** Cumulative `le` buckets to a count a bucket, lowest first. */
export function bucketSeries(series: Series[]): Series[] {
  const sorted = [...series].sort((a, b) => bound(a.metric) - bound(b.metric));
  return sorted.map(({ metric, values }, at) => {
    const below = at === 0 ? new Map<number, string>() : new Map(sorted[at - 1].values);
    const own = values.map(([time, value]): [number, string] => {
      return [time, String(Math.max(0, Number(value) - Number(below.get(time) ?? 0)))];
    });
    return { metric, values: own };
  });
}
