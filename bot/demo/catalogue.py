"""What stands in the demo web."""

from __future__ import annotations

from dataclasses import dataclass

HANGING_PATH = "/live/outdoor-units"
MISSING_PATH = "/archive/2019-cold-climate-heat-pumps"
FORBIDDEN_PATH = "/members/heat-pump-price-index"
HUGE_PATH = "/data/heat-pump-measurements"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPage:
    """summary: what a search engine would show under the title. published: ISO date, empty if undated.

    file: in the package's `pages` folder; empty for a page that misbehaves.
    """

    path: str
    title: str
    summary: str
    published: str = ""
    file: str = ""

    @property
    def media_type(self) -> str:
        return "application/pdf" if self.file.endswith(".pdf") else "text/html"


PAGES = (
    DemoPage(
        path="/guides/how-heat-pumps-work",
        file="how-heat-pumps-work.html",
        title="How a heat pump works, and what COP means",
        summary="A heat pump moves heat instead of making it. Refrigerant cycle, COP and seasonal "
        "performance factor explained, and why the outside temperature and the flow temperature "
        "decide both.",
        published="2025-09-02",
    ),
    DemoPage(
        path="/news/heat-pumps-minus-20",
        file="heat-pumps-minus-20.html",
        title="What the January cold snap taught us about heat pumps at -20 °C",
        summary="Five nights below -20 °C put air-source heat pumps to the test. Most houses in Nordkyle "
        "stayed warm; the average COP in the coldest hours was 2.1, and settings mattered more "
        "than brands.",
        published="2026-02-11",
    ),
    DemoPage(
        path="/data/cop-tables",
        file="cop-tables.html",
        title="Heat pump COP tables: measured output from +7 °C to -25 °C",
        summary="COP and heat output of three air-to-water heat pumps at seven outside temperatures down "
        "to -20 °C and -25 °C, for 35 °C and 55 °C flow, and how to work a house out from the table.",
        published="2025-11-20",
    ),
    DemoPage(
        path="/guides/heat-pump-costs",
        file="heat-pump-costs.html",
        title="What a heat pump costs: installation, running costs and payback",
        summary="An installed air-to-water heat pump costs 11,400 euros on average before the grant. "
        "Yearly running costs against a gas boiler, worked through for a house that needs 15,000 "
        "kWh of heat.",
        published="2026-01-15",
    ),
    DemoPage(
        path="/forum/thread-4417",
        file="forum-thread-4417.html",
        title="Heat pump at -20 °C: who still has a warm house? (forum, 8 replies)",
        summary="Owners post their own readings from the cold snap: outside temperature, flow "
        "temperature, COP and backup heater hours, and what they changed to stay warm.",
        published="2026-01-23",
    ),
    DemoPage(
        path="/shop/air-to-water",
        file="shop-air-to-water.html",
        title="Air-to-water heat pumps: 6 models in stock",
        summary="Compare prices, heat output at -15 °C, lowest operating temperature and noise of six "
        "air-to-water heat pumps.",
    ),
    DemoPage(
        path="/docs/aero-installer/weather-curve",
        file="installer-weather-curve.html",
        title="Aero 8 installer manual: weather curve, defrost and backup heater",
        summary="How to size the Aero 8 heat pump, set its weather curve and defrost, when the backup "
        "heater may run, and how to read COP and flow temperature over Modbus.",
        published="2025-06-30",
    ),
    DemoPage(
        path="/ja/co2-heat-pump",
        file="ja-co2-heat-pump.html",
        title="寒冷地のCO2ヒートポンプ給湯機とは (CO2 heat pump water heaters)",
        summary="CO2冷媒（R744）のヒートポンプ給湯機の仕組み、外気温マイナス25℃での運転、COPと電気代、選び方を解説します。",
        published="2025-12-08",
    ),
    DemoPage(
        path="/reports/nordkyle-field-study.pdf",
        file="nordkyle-field-study.pdf",
        title="Nordkyle field study: 61 air-source heat pumps over two winters (PDF)",
        summary="Measured seasonal performance factor, COP at -20 °C, defrosting losses and backup heater "
        "use of 61 heat pumps in occupied houses. Mean seasonal performance factor 2.9.",
        published="2025-08-18",
    ),
    DemoPage(
        path="/reports/heat-pump-buyers-guide.pdf",
        file="heat-pump-buyers-guide.pdf",
        title="Heat pump buyer's guide: eight questions to ask an installer (PDF)",
        summary="A checklist for comparing heat pump quotes: heat loss, output at the design temperature, "
        "flow temperature, noise, grant, warranty and cold weather.",
        published="2026-03-02",
    ),
    DemoPage(
        path="/kitchen/sourdough-starter-care",
        file="sourdough-starter-care.html",
        title="Sourdough starter care: how often to feed, and at what temperature",
        summary="Feed a starter once a day at 21 °C, twice a day at 24 °C, once a week in the fridge. "
        "Ratios, temperatures, signs of hunger, and how to bring a neglected starter back.",
        published="2025-10-05",
    ),
    DemoPage(
        path="/forum/thread-982",
        file="forum-thread-982.html",
        title="My sourdough starter smells of acetone, is it dead? (forum, 6 replies)",
        summary="A starter that smells of nail polish remover is hungry, not dead. Bakers on hooch, "
        "acetone, feeding ratios and when to throw a starter away.",
        published="2025-11-03",
    ),
    DemoPage(
        path="/kitchen/sourdough-fermentation-table",
        file="sourdough-fermentation-table.html",
        title="Sourdough starter timetable: temperature, feeding ratio and hours to peak",
        summary="How many hours a sourdough starter takes to peak after feeding at 18, 21, 24 and 27 °C, "
        "for three feeding ratios, measured on rye and wheat flour.",
        published="2025-04-12",
    ),
    DemoPage(
        path="/docs/asyncio/cancellation",
        file="asyncio-cancellation.html",
        title="Cancelling asyncio tasks in Python: clean-up that survives",
        summary="How cancel() and CancelledError work, where clean-up belongs, why the error must be "
        "raised again, and how timeouts and TaskGroup cancel for you. With code.",
        published="2025-07-21",
    ),
    DemoPage(
        path="/blog/lost-cancellation",
        file="blog-lost-cancellation.html",
        title="The worker that would not stop: a lost asyncio cancellation",
        summary="A Python service ignored every shutdown for 30 seconds because one except clause "
        "swallowed CancelledError. How the task was found, and the three rules that fixed the "
        "clean-up.",
        published="2026-01-29",
    ),
    DemoPage(
        path="/",
        file="directory.html",
        title="Fjordlight directory: all pages by topic",
        summary="Heat pump guides, data and forum; sourdough; asyncio documentation.",
    ),
    DemoPage(
        path=HANGING_PATH,
        title="Heat pumps at -20 °C, live: outdoor units in Nordkyle now",
        summary="Live readings, refreshed every second. Loading …",
    ),
    DemoPage(
        path=MISSING_PATH,
        title="Heat pumps in cold climates: a review of work below -20 °C (2019)",
        summary="This page has moved. Please update your bookmarks.",
        published="2019-03-14",
    ),
    DemoPage(
        path=FORBIDDEN_PATH,
        title="Heat pump price index: costs and COP by region (members only)",
        summary="What installed heat pumps cost in your region. Sign in to read on.",
        published="2026-02-01",
    ),
    DemoPage(
        path=HUGE_PATH,
        title="Heat pump measurements, every minute: COP at -20 °C, raw data",
        summary="The complete record of the field study as one very long page.",
        published="2025-08-18",
    ),
)
