/**
 * Draws a chart: what `chart.ts` makes comes by standard input, an SVG goes to standard output.
 *
 * @module
 */

import process from "node:process";
import { text } from "node:stream/consumers";
import { init } from "echarts";

const WIDTH = 900;
const ROW_HEIGHT = 96;
const FRAME_HEIGHT = 150;
const COLORS = ["#0969da", "#bf8700", "#e8c477", "#6e7781", "#a475f9", "#4ac26b"];
const INK = "#24292f";
const FONT = "Arial, Helvetica, sans-serif";
const LABEL_WIDTH = 216;

const { title, subtitle, workloads, bars } = JSON.parse(await text(process.stdin));
const chart = init(null, null, {
  renderer: "svg",
  ssr: true,
  width: WIDTH,
  height: FRAME_HEIGHT + ROW_HEIGHT * workloads.length,
});
chart.setOption({
  animation: false,
  // A ground of its own, so that it can be read on a dark page as well.
  backgroundColor: "#ffffff",
  textStyle: { fontFamily: FONT, color: INK },
  color: COLORS,
  title: {
    text: title,
    subtext: subtitle,
    left: 16,
    top: 12,
    textStyle: { fontSize: 16, color: INK },
    subtextStyle: { fontSize: 12, color: "#57606a" },
  },
  legend: { top: 66, left: 16, itemGap: 24, textStyle: { fontSize: 12, color: INK } },
  grid: { left: LABEL_WIDTH, right: 48, top: 124, bottom: 16 },
  xAxis: {
    type: "value",
    position: "top",
    axisLabel: { formatter: (share) => `${Math.round(share * 100)} %`, color: INK },
    splitLine: { lineStyle: { color: "#d0d7de" } },
  },
  yAxis: {
    type: "category",
    inverse: true,
    data: workloads,
    axisTick: { show: false },
    axisLabel: { width: LABEL_WIDTH - 24, overflow: "break", fontSize: 12, color: INK },
  },
  series: bars.map(({ name, shares }) => ({
    name,
    type: "bar",
    data: shares,
    barGap: "8%",
    barCategoryGap: "18%",
    label: {
      show: true,
      position: "right",
      fontSize: 10,
      color: INK,
      formatter: ({ value }) => `${Math.round(value * 100)}`,
    },
    // The floor itself.
    markLine: name === bars[0].name
      ? {
        silent: true,
        symbol: "none",
        label: { show: false },
        lineStyle: { color: INK, type: "dashed" },
        data: [{ xAxis: 1 }],
      }
      : undefined,
  })),
});
process.stdout.write(chart.renderToSVGString() + "\n");
chart.dispose();
