// Annotations by a Prometheus query: a dashed line at each moment, a shaded stretch where moments follow each other.

import type { UPlotConfigBuilder } from '@grafana/ui';
import { rangeUtil } from '@grafana/data';
import { useLayoutEffect } from 'react';

import type { AnnotationModel } from './job';
import type { World } from './query';

export interface Mark {
  from: number;
  to: number;
  color: string;
}

/** Grafana's rule: samples other than 0 are events, and those a step apart are one. */
async function marksOf(world: World, model: AnnotationModel): Promise<Mark[]> {
  const { job, prometheus, variables, theme } = world;
  const step = rangeUtil.intervalToSeconds(variables.inText(model.step || '60s'));
  const scoped = { __interval: `${step}s`, __rate_interval: `${Math.max(4 * job.scrapeIntervalSeconds, step)}s` };
  const expr = variables.inQuery(model.expr ?? model.target?.expr ?? '', scoped);
  const [start, end] = [job.from, job.to].map((time) => Math.floor(time / 1000 / step) * step);
  const color = theme.visualization.getColorByName(model.iconColor ?? 'blue');
  const marks: Mark[] = [];
  for (const { values } of await prometheus.range(expr, start, end, step)) {
    let last: Mark | undefined;
    for (const [seconds, value] of values) {
      if (Number(value) === 0) {
        last = undefined;
      } else if (last && seconds * 1000 - last.to <= step * 1000) {
        last.to = seconds * 1000;
      } else {
        last = { from: seconds * 1000, to: seconds * 1000, color };
        marks.push(last);
      }
    }
  }
  return marks;
}

export interface Marks {
  marks: Mark[];
  errors: string[];
}

export async function loadMarks(world: World): Promise<Marks> {
  const models = (world.job.board.annotations?.list ?? []).filter(
    (model) => !model.builtIn && model.enable !== false && (model.expr || model.target?.expr)
  );
  const done = await Promise.allSettled(models.map((model) => marksOf(world, model)));
  return {
    marks: done.flatMap((one) => (one.status === 'fulfilled' ? one.value : [])),
    errors: done.flatMap((one, at) => (one.status === 'rejected' ? [`${models[at].name}: ${one.reason.message}`] : [])),
  };
}

export function MarkLines({ builder, marks }: { builder: UPlotConfigBuilder; marks: Mark[] }) {
  // Before the plot is made, which happens when its parent is mounted.
  useLayoutEffect(() => {
    builder.addHook('draw', (u) => {
      const { left, top, width, height } = u.bbox;
      u.ctx.save();
      u.ctx.beginPath();
      u.ctx.rect(left, top, width, height);
      u.ctx.clip();
      for (const { from, to, color } of marks) {
        const [x0, x1] = [from, to].map((time) => Math.round(u.valToPos(time, 'x', true)));
        u.ctx.fillStyle = color;
        u.ctx.globalAlpha = 0.1;
        u.ctx.fillRect(x0, top, x1 - x0, height);
        u.ctx.globalAlpha = 1;
        u.ctx.strokeStyle = color;
        u.ctx.lineWidth = 2 * devicePixelRatio;
        u.ctx.setLineDash([5, 5]);
        for (const x of new Set([x0, x1])) {
          u.ctx.beginPath();
          u.ctx.moveTo(x, top);
          u.ctx.lineTo(x, top + height);
          u.ctx.stroke();
        }
      }
      u.ctx.restore();
    });
  }, [builder, marks]);
  return null;
}
