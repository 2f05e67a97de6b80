// The data of one panel: its queries run, its transformations and field options applied.

import {
  DataFrame,
  DataTransformerInfo,
  FieldConfigOptionsRegistry,
  FieldConfigPropertyItem,
  FieldConfigSource,
  GrafanaTheme2,
  TimeRange,
  TransformerRegistryItem,
  applyFieldOverrides,
  cacheFieldDisplayNames,
  displayNameOverrideProcessor,
  rangeUtil,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';

import { bucketSeries, seriesFrames, tableFrame } from './frames';
import type { Job, PanelModel, Target } from './job';
import { interpolator } from './macros';
import type { Prometheus } from './prometheus';
import type { Variables } from './variables';

export interface World {
  job: Job;
  prometheus: Prometheus;
  variables: Variables;
  theme: GrafanaTheme2;
  timeRange: TimeRange;
}

export interface PanelData {
  frames: DataFrame[];
  /** One sentence for each query that failed. */
  errors: string[];
}

/** Prometheus refuses more than 11,000 points a series. */
const MOST_POINTS = 11_000;

function transformers(): TransformerRegistryItem[] {
  // The list names one of them twice: joinByField was seriesToColumns once, and old boards still say so.
  const unique = new Map((Object.values(standardTransformers) as DataTransformerInfo[]).map((one) => [one.id, one]));
  const join = unique.get('joinByField');
  const all: Array<[string, DataTransformerInfo]> = [
    ...unique,
    ...(join ? [['seriesToColumns', join] as const] : []),
  ].map(([id, one]) => [id, one]);
  return all.map(([id, transformation]) => {
    const { name, description } = transformation;
    return { id, name, description, transformation } as unknown as TransformerRegistryItem;
  });
}

standardTransformersRegistry.setInit(transformers);

interface Timing {
  intervalMs: number;
  scoped: Record<string, string>;
}

/** Grafana's arithmetic for a query's step and the variables that go with it. */
export function timing(world: World, panel: PanelModel, target: Target, width: number): Timing {
  const { job } = world;
  const scrapeMs = job.scrapeIntervalSeconds * 1000;
  const own = world.variables.inText(target.interval ?? '');
  const lowest = own || panel.interval || `${job.scrapeIntervalSeconds}s`;
  const spanMs = job.to - job.from;
  const points = panel.maxDataPoints ?? Math.max(1, Math.floor(width));
  const wanted = Math.max(
    rangeUtil.roundInterval(spanMs / points),
    rangeUtil.intervalToMs(lowest.replace(/^[<>]=?/, ''))
  );
  const intervalMs = Math.max(wanted, Math.ceil(spanMs / MOST_POINTS / 1000) * 1000, 1);
  const rateMs = Math.max(intervalMs + scrapeMs, 4 * scrapeMs);
  const rangeSeconds = Math.round(spanMs / 1000);
  const scoped = {
    __interval: rangeUtil.secondsToHms(intervalMs / 1000),
    __interval_ms: String(intervalMs),
    __rate_interval: rangeUtil.secondsToHms(rateMs / 1000),
    __rate_interval_ms: String(rateMs),
    __range: `${rangeSeconds}s`,
    __range_s: String(rangeSeconds),
    __range_ms: String(spanMs),
    __from: String(job.from),
    __to: String(job.to),
    __dashboard: job.board.title ?? '',
  };
  return { intervalMs, scoped };
}

async function run(
  world: World,
  panel: PanelModel,
  target: Target,
  width: number,
  tables: number
): Promise<DataFrame[]> {
  const { job, prometheus, variables } = world;
  const { intervalMs, scoped } = timing(world, panel, target, width);
  const expr = variables.inQuery(target.expr ?? '', scoped);
  const named = { ...target, legendFormat: variables.inText(target.legendFormat ?? '', scoped) };
  const frames: DataFrame[] = [];
  if (target.instant) {
    const series = await prometheus.instant(expr, job.to / 1000);
    frames.push(
      ...(target.format === 'table' ? tableFrame(series, target, tables) : seriesFrames(series, named, expr, null))
    );
  }
  if (target.range || !target.instant) {
    const step = intervalMs / 1000;
    // Aligned to the step, as Grafana does, so that a picture does not flicker between two looks.
    const [start, end] = [job.from, job.to].map((time) => Math.floor(time / 1000 / step) * step);
    let series = await prometheus.range(expr, start, end, step);
    if (target.format === 'heatmap') {
      series = bucketSeries(series);
    }
    frames.push(
      ...(target.format === 'table'
        ? tableFrame(series, target, tables)
        : seriesFrames(series, named, expr, intervalMs))
    );
  }
  return frames;
}

/** Run a panel's queries for a drawing `width` pixels wide; each fails alone. */
export async function load(world: World, panel: PanelModel, width: number): Promise<PanelData> {
  const targets = (panel.targets ?? []).filter((target) => !target.hide && target.expr !== undefined);
  const tables = targets.filter((target) => target.format === 'table').length;
  const done = await Promise.allSettled(targets.map((target) => run(world, panel, target, width, tables)));
  const errors = done.flatMap((one, at) =>
    one.status === 'rejected'
      ? [`${targets[at].refId}: ${one.reason instanceof Error ? one.reason.message : one.reason}`]
      : []
  );
  const frames = done.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  const context = { interpolate: (text: string) => world.variables.inText(text) };
  const changed = await lastValueFrom(transformDataFrame(panel.transformations ?? [], frames, context));
  return { frames: changed, errors };
}

// -- field options ---------------------------------------------------------------------------------------------------

const STANDARD = [
  'displayName',
  'unit',
  'min',
  'max',
  'decimals',
  'noValue',
  'links',
  'color',
  'mappings',
  'thresholds',
  'description',
  'fieldMinMax',
  'filterable',
  'actions',
];

function property(id: string, path: string, isCustom: boolean): FieldConfigPropertyItem {
  if (id === 'displayName') {
    const settings = { expandTemplateVars: true };
    const item = { id, path, name: id, settings, process: displayNameOverrideProcessor, shouldApply: () => true };
    return item as unknown as FieldConfigPropertyItem;
  }
  return {
    id,
    path,
    isCustom,
    name: id,
    process: (value: unknown) => value,
    shouldApply: () => true,
  } as unknown as FieldConfigPropertyItem;
}

/** Grafana's registry of field options lives in its application; a board's own JSON says which there are. */
function registryFor(config: FieldConfigSource): FieldConfigOptionsRegistry {
  const items = STANDARD.map((id) => property(id, id, false));
  const custom = new Set(Object.keys(config.defaults.custom ?? {}));
  for (const rule of config.overrides) {
    for (const { id } of rule.properties) {
      if (id.startsWith('custom.')) {
        custom.add(id.slice('custom.'.length));
      }
    }
  }
  items.push(...[...custom].map((path) => property(`custom.${path}`, path, true)));
  return new FieldConfigOptionsRegistry(() => items);
}

/** Colours, units, thresholds, mappings and overrides on every field. */
export function applyFieldConfig(world: World, frames: DataFrame[], fieldConfig: FieldConfigSource): DataFrame[] {
  const applied = applyFieldOverrides({
    data: frames,
    fieldConfig,
    fieldConfigRegistry: registryFor(fieldConfig),
    replaceVariables: interpolator(world.variables, world.job),
    theme: world.theme,
    timeZone: world.job.timeZone,
  });
  cacheFieldDisplayNames(applied); // the table reads nothing else
  return applied;
}
