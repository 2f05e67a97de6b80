// "table": the library's TableNG, which Grafana's table panel draws with since version 12.

import { TableCellHeight } from '@grafana/schema';
import { TableNG } from '@grafana/ui/unstable';

import type { VizProps } from './props';

export function TableViz({ frames, fieldConfig, options, width, height, timeRange }: VizProps) {
  const frame = frames[options.frameIndex ?? 0] ?? frames[0];
  return (
    <TableNG
      data={frame}
      width={width}
      height={height}
      fieldConfig={fieldConfig}
      noHeader={options.showHeader === false}
      initialSortBy={options.sortBy}
      cellHeight={options.cellHeight ?? TableCellHeight.Sm}
      frozenColumns={options.frozenColumns?.left}
      enablePagination={options.enablePagination}
      timeRange={timeRange}
      structureRev={1}
    />
  );
}
