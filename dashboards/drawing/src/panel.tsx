// One panel: frame, data, drawing, and what became of it, on its DOM node.

import { DataFrame, FieldType, dateTime, rangeUtil } from '@grafana/data';
import { PanelChrome } from '@grafana/ui';
import { Component, ReactNode, useEffect, useLayoutEffect, useState } from 'react';

import type { Mark } from './annotations';
import { fieldConfigOf } from './defaults';
import type { PanelModel } from './job';
import type { Box } from './layout';
import { interpolator } from './macros';
import { World, applyFieldConfig, load } from './query';
import { panelSettled } from './settle';
import { DRAWINGS } from './viz';

interface Outcome {
  state: 'loading' | 'ok' | 'nodata' | 'error';
  message: string;
  /** Series with at least one value; rows for a table. */
  series: number;
  frames: DataFrame[];
}

const LOADING: Outcome = { state: 'loading', message: '', series: 0, frames: [] };

const isValue = (value: unknown) => value !== null && value !== undefined && value !== '';

/** How much there is to see: rows for a table, series with values for all others. */
export function countSeries(frames: DataFrame[], type: string): number {
  if (type === 'table') {
    return Math.max(0, ...frames.map((frame) => frame.length));
  }
  const drawn = frames.flatMap((frame) => frame.fields).filter((field) => field.type === FieldType.number);
  return drawn.filter((field) => field.values.some(isValue)).length;
}

function judge(frames: DataFrame[], errors: string[], { type, fieldConfig }: PanelModel): Outcome {
  const noValue = fieldConfig?.defaults.noValue;
  const series = countSeries(frames, type);
  if (errors.length) {
    return { state: 'error', message: errors.join('; '), series, frames };
  }
  if (series === 0) {
    const why = frames.some((frame) => frame.length > 0) ? ': every value is NaN or empty' : '';
    const instead = noValue === undefined ? '' : `, shown as "${noValue}"`;
    return { state: 'nodata', message: `No data${why}${instead}`, series, frames };
  }
  return { state: 'ok', message: '', series, frames };
}

class Guard extends Component<{ children: ReactNode; onError: (message: string) => void }, { failed: boolean }> {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  componentDidCatch(error: Error) {
    this.props.onError(`drawing failed: ${error.message}`);
  }

  render() {
    return this.state.failed ? null : this.props.children;
  }
}

/** Tells that the panel stands, after the frame in which the browser painted it. */
function Settled() {
  useEffect(() => {
    requestAnimationFrame(() => requestAnimationFrame(panelSettled));
  }, []);
  return null;
}

async function outcome(world: World, panel: PanelModel, width: number): Promise<Outcome> {
  if (!(panel.type in DRAWINGS)) {
    return { ...LOADING, state: 'error', message: `no drawing for panels of the type ${panel.type}` };
  }
  if (panel.type === 'text') {
    return { ...LOADING, state: 'ok' };
  }
  const { frames, errors } = await load(world, panel, width);
  return judge(applyFieldConfig(world, frames, fieldConfigOf(panel)), errors, panel);
}

/** The world as one panel sees it: its own time range, and the value it is repeated for. */
function seenBy(panel: PanelModel, world: World): World {
  const { from, to } = world.job;
  const shift = panel.timeShift ? rangeUtil.intervalToMs(panel.timeShift) : 0;
  const end = to - shift;
  const start = panel.timeFrom ? end - rangeUtil.intervalToMs(panel.timeFrom) : from - shift;
  const raw = { from: dateTime(start), to: dateTime(end) };
  return {
    ...world,
    job: { ...world.job, from: start, to: end },
    timeRange: { ...raw, raw },
    variables: panel.scope ? world.variables.narrowed(panel.scope.name, panel.scope.value) : world.variables,
  };
}

interface Props {
  world: World;
  panel: PanelModel;
  box: Box;
  marks: Mark[];
}

export function Panel({ world: outer, panel, box, marks }: Props) {
  const [world] = useState(() => seenBy(panel, outer));
  const [now, setNow] = useState(LOADING);
  useLayoutEffect(() => {
    const fail = (error: Error) => setNow({ ...LOADING, state: 'error', message: error.message });
    outcome(world, panel, box.width).then(setNow, fail);
  }, []);
  const { theme, timeRange, variables, job } = world;
  const replaceVariables = interpolator(variables, job);
  const drawing = DRAWINGS[panel.type];
  const title = replaceVariables(panel.title ?? '');
  const Viz = drawing?.component;
  const drawable = Viz && (now.state === 'ok' || (now.state === 'nodata' && drawing.drawsNothing) || now.series > 0);
  const failed = now.state === 'error';
  return (
    <section
      style={{ position: 'absolute', ...box }}
      data-panel-id={panel.id}
      data-title={title}
      data-type={panel.type}
      data-state={now.state}
      data-message={now.message}
      data-series={now.series}
      data-drawn-as={drawing?.drawnAs ?? 'nothing'}
    >
      <PanelChrome
        width={box.width}
        height={box.height}
        title={title}
        description={panel.description ? replaceVariables(panel.description) : undefined}
        displayMode={panel.transparent ? 'transparent' : 'default'}
        statusMessage={failed ? now.message : undefined}
        padding={panel.type === 'table' ? 'none' : 'md'}
      >
        {(width, height) =>
          drawable ? (
            <Guard onError={(message) => setNow({ ...now, state: 'error', message })}>
              <Viz
                frames={now.frames}
                fieldConfig={fieldConfigOf(panel)}
                options={panel.options ?? {}}
                width={width}
                height={height}
                theme={theme}
                timeRange={timeRange}
                timeZone={job.timeZone}
                replaceVariables={replaceVariables}
                marks={marks}
              />
            </Guard>
          ) : (
            now.state !== 'loading' && <Empty width={width} height={height} text={failed ? '' : emptyText(panel)} />
          )
        }
      </PanelChrome>
      {now.state !== 'loading' && <Settled />}
    </section>
  );
}

function emptyText(panel: PanelModel): string {
  return panel.fieldConfig?.defaults.noValue ?? 'No data';
}

/** As Grafana's PanelDataErrorView, which is in its application. */
function Empty({ width, height, text }: { width: number; height: number; text: string }) {
  const style = { width, height, display: 'flex', alignItems: 'center', justifyContent: 'center' };
  return <div style={style}>{text}</div>;
}
