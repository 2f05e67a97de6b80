// "stat", "bargauge" and "gauge": a value, or some, each in its own place.

import {
  FieldDisplay,
  VizOrientation,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  DisplayValueAlignmentFactors,
} from '@grafana/data';
import { BarGaugeDisplayMode, BarGaugeNamePlacement, BarGaugeValueMode } from '@grafana/schema';
import {
  BarGauge,
  BigValue,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  VizRepeater,
} from '@grafana/ui';

import { Arc } from './arc';
import type { VizProps } from './props';

/** The values such a panel shows: one for a field, or one for a row with `reduceOptions.values`. */
export function displayValues(props: VizProps, sparkline: boolean): FieldDisplay[] {
  const { frames, fieldConfig, options, replaceVariables, theme, timeZone } = props;
  const reduceOptions = { calcs: ['lastNotNull'], ...options.reduceOptions };
  return getFieldDisplayValues({
    data: frames,
    fieldConfig,
    reduceOptions,
    replaceVariables,
    theme,
    timeZone,
    sparkline,
  });
}

type Factors = DisplayValueAlignmentFactors;

function orientationOf(props: VizProps, fallback = VizOrientation.Auto): VizOrientation {
  return props.options.orientation ?? fallback;
}

export function StatViz(props: VizProps) {
  const { options, width, height, theme, timeRange } = props;
  const graphMode: BigValueGraphMode = options.graphMode ?? BigValueGraphMode.Area;
  const values = displayValues(props, graphMode !== BigValueGraphMode.None);
  return (
    <VizRepeater<FieldDisplay, Factors>
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      source={values}
      renderCounter={0}
      width={width}
      height={height}
      autoGrid
      itemSpacing={3}
      orientation={orientationOf(props)}
      renderValue={({ value, width: own, height: tall, alignmentFactors, count }) => (
        <BigValue
          value={value.display}
          count={count}
          sparkline={value.sparkline ? { ...value.sparkline, timeRange } : undefined}
          colorMode={options.colorMode ?? BigValueColorMode.Value}
          graphMode={graphMode}
          justifyMode={options.justifyMode ?? BigValueJustifyMode.Auto}
          textMode={options.textMode ?? BigValueTextMode.Auto}
          disableWideLayout={options.wideLayout === false}
          alignmentFactors={alignmentFactors}
          text={options.text}
          width={own}
          height={tall}
          theme={theme}
        />
      )}
    />
  );
}

export function BarGaugeViz(props: VizProps) {
  const { options, width, height, theme } = props;
  const values = displayValues(props, false);
  const orientation = orientationOf(props, VizOrientation.Horizontal);
  return (
    <VizRepeater<FieldDisplay, Factors>
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      source={values}
      renderCounter={0}
      width={width}
      height={height}
      minVizHeight={options.minVizHeight ?? 16}
      minVizWidth={options.minVizWidth ?? 8}
      maxVizHeight={options.maxVizHeight ?? 300}
      itemSpacing={options.displayMode === BarGaugeDisplayMode.Lcd ? 2 : 10}
      orientation={orientation}
      renderValue={({ value, width: own, height: tall, orientation: along, alignmentFactors }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
          orientation={along}
          displayMode={options.displayMode ?? BarGaugeDisplayMode.Gradient}
          valueDisplayMode={options.valueMode ?? BarGaugeValueMode.Color}
          namePlacement={options.namePlacement ?? BarGaugeNamePlacement.Auto}
          showUnfilled={options.showUnfilled ?? true}
          alignmentFactors={alignmentFactors}
          text={options.text}
          width={own}
          height={tall}
          itemSpacing={10}
          lcdCellWidth={12}
          isOverflow={false}
          theme={theme}
        />
      )}
    />
  );
}

export function GaugeViz(props: VizProps) {
  const { options, width, height, theme } = props;
  const values = displayValues(props, false);
  return (
    <VizRepeater<FieldDisplay, Factors>
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      source={values}
      renderCounter={0}
      width={width}
      height={height}
      autoGrid
      orientation={orientationOf(props)}
      renderValue={({ value, width: own, height: tall, count }) => (
        <Arc
          value={value}
          width={own}
          height={tall}
          theme={theme}
          showTitle={count > 1}
          showMarkers={options.showThresholdMarkers ?? true}
        />
      )}
    />
  );
}
