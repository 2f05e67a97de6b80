// The page: reads its job, draws the board, and says on <body> when it is done (data-done) and how high it is.

import { ThemeContext, createTheme, dateTime, TimeRange, dateTimeFormat } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, Icon, PortalContainer } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';

import { Marks, loadMarks } from './annotations';
import type { Job, PanelModel } from './job';
import { boxOf, gridHeight, numbered, opened, repeated } from './layout';
import { Panel } from './panel';
import { Prometheus } from './prometheus';
import type { World } from './query';
import { loadFonts, settled, watchErrors, watchRequests } from './settle';
import { loadVariables } from './variables';

const PADDING = 16;
const BAR = 56;

function Bar({ world }: { world: World }) {
  const { theme, job, variables } = world;
  const box = {
    padding: '6px 12px',
    border: `1px solid ${theme.colors.border.weak}`,
    borderRadius: theme.shape.radius.default,
    background: theme.colors.background.primary,
    whiteSpace: 'nowrap' as const,
  };
  const time = (at: number) => dateTimeFormat(at, { timeZone: job.timeZone, format: 'YYYY-MM-DD HH:mm:ss' });
  return (
    <header style={{ height: BAR - 16, display: 'flex', gap: 12, alignItems: 'center', overflow: 'hidden' }}>
      <h1 style={{ ...theme.typography.h4, margin: 0, whiteSpace: 'nowrap' }}>{job.board.title}</h1>
      {variables.shown().map(([label, value]) => (
        <span key={label} style={box}>
          <b>{label}</b> {value}
        </span>
      ))}
      <span style={{ ...box, marginLeft: 'auto' }}>
        <Icon name="clock-nine" /> {time(job.from)} to {time(job.to)}
      </span>
    </header>
  );
}

function Row({ panel, world, width }: { panel: PanelModel; world: World; width: number }) {
  const { left, top, height } = boxOf(panel, width);
  const style = {
    position: 'absolute' as const,
    left,
    top,
    height,
    width,
    display: 'flex',
    alignItems: 'center',
    gap: 8,
  };
  return (
    <div style={{ ...style, ...world.theme.typography.h6, margin: 0 }}>
      <Icon name="angle-down" /> {world.variables.inText(panel.title ?? '')}
    </div>
  );
}

function Board({ world, panels, marks, width }: { world: World; panels: PanelModel[]; marks: Marks; width: number }) {
  return (
    <main style={{ padding: PADDING }}>
      <Bar world={world} />
      <div style={{ position: 'relative', marginTop: 16, height: gridHeight(panels) }}>
        {panels.map((panel, at) =>
          panel.type === 'row' ? (
            <Row key={at} panel={panel} world={world} width={width} />
          ) : (
            <Panel key={at} panel={panel} world={world} box={boxOf(panel, width)} marks={marks.marks} />
          )
        )}
      </div>
    </main>
  );
}

async function main(): Promise<void> {
  watchRequests();
  const thrown = watchErrors();
  await loadFonts();
  const job: Job = await (await fetch('job.json')).json();
  await initPluginTranslations('moorwatch');
  const theme = createTheme({ colors: { mode: job.theme } });
  const from = dateTime(job.from);
  const to = dateTime(job.to);
  const timeRange: TimeRange = { from, to, raw: { from, to } };
  const prometheus = new Prometheus(job.prometheus);
  const variables = await loadVariables(job, prometheus);
  const world: World = { job, prometheus, variables, theme, timeRange };
  const marks = await loadMarks(world);
  document.body.dataset.annotations = String(marks.marks.length);
  document.body.dataset.annotationErrors = JSON.stringify(marks.errors);
  const panels = repeated(opened(numbered(job.board.panels ?? [])), (name) => variables.valuesOf(name));
  const width = document.documentElement.clientWidth - 2 * PADDING;
  createRoot(document.getElementById('root')!).render(
    <MemoryRouter>
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        <Board world={world} panels={panels} marks={marks} width={width} />
        <PortalContainer />
      </ThemeContext.Provider>
    </MemoryRouter>
  );
  window.__settled = async () => {
    await settled(panels.filter(({ type }) => type !== 'row').length);
    document.body.dataset.errors = thrown.join('\n');
  };
  await window.__settled();
  document.body.dataset.height = String(Math.ceil(document.querySelector('main')!.getBoundingClientRect().height));
}

declare global {
  interface Window {
    /** "" when the page is done, or why it could not be drawn at all. */
    __done: Promise<string>;
    /** Resolves when nothing moves any more, again after the window has changed. */
    __settled: () => Promise<void>;
  }
}

window.__done = main()
  .then(
    () => '',
    (error: Error) => String(error.stack ?? error)
  )
  .then((failure) => {
    document.body.dataset.done = failure || 'ok';
    return failure;
  });
