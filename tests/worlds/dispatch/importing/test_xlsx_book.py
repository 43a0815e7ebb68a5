"""XLSX as many programs write it: the parts, the shared texts, the formats, and damaged files."""

import sys
import zipfile
from datetime import date, datetime, time, timedelta

import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.xlsx_reader import read_xlsx
from tests.worlds.dispatch.importing.layouts import write_xlsx

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def relations(*targets):
    """Keys rId1, rId2, ... to parts of a kind."""
    lines = "".join(
        f'<Relationship Id="rId{k}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for k, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{PACKAGE}">{lines}</Relationships>'


def parts_of(rows, texts="", styles="", settings="", main=MAIN):
    """The least that a workbook can be."""
    return {
        "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{OFFICE}">{settings}<sheets>'
        '<sheet name="A" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations(
            ("worksheet", "worksheets/sheet1.xml"), ("sharedStrings", "sharedStrings.xml"),
            ("styles", "styles.xml"),
        ),
        "xl/worksheets/sheet1.xml":
            f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{main}">{texts}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}">{styles}</styleSheet>',
    }  # fmt: skip


def read(folder, parts, notes=None):
    path = folder / "some.xlsx"
    with zipfile.ZipFile(path, "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return read_xlsx(path.read_bytes(), path, "", [] if notes is None else notes)


def test_texts_are_shared_formatted_pronounced_and_escaped(tmp_path):
    texts = (
        "<si><t>plain</t></si><si><t/></si>"
        "<si><r><t>two </t></r><r><rPr><b/></rPr><t>runs</t></r></si>"
        '<si><t>東京</t><rPh sb="0" eb="2"><t>とうきょう</t></rPh></si>'
        "<si><t>1_x000D_\n_x005F_x000D_ &amp; 2</t></si>"
    )
    rows = "<row>" + "".join(f'<c t="s"><v>{k}</v></c>' for k in (2, 3, 1, 0, 4)) + "</row>"
    said = ["two runs", "東京", "", "plain", "1\r\n_x000D_ & 2"]
    assert read(tmp_path, parts_of(rows, texts)) == [(1, said)]


def test_cells_and_rows_may_say_where_they_are_or_not(tmp_path):
    rows = (
        "<row><c><v>1</v></c><c/><c><v>3</v></c></row>"
        '<row r="5"><c r="AA5" s="7"/><c r="C5"><v>5</v></c><c r="B5"><v>4</v></c></row>'
        '<row><c t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c><extLst/></row>'
    )
    lines = [(1, ["1", "", "3"]), (5, ["", "4", "5"]), (6, ["ab"])]
    assert read(tmp_path, parts_of(rows)) == lines


@pytest.mark.parametrize("cell", ['<c t="{}"><v>{}</v></c>', '<c t="{}"><f>A1</f><v>{}</v></c>'])
def test_every_type_of_cell(tmp_path, cell):
    values = [
        ("n", "0.1"), ("n", "1.0"), ("n", "2E3"), ("n", "-12"), ("b", "0"), ("b", "1"),
        ("str", "a_x0041_"), ("e", "#N/A"), ("d", "2026-03-02T00:00:00"),
        ("d", "2026-03-02T08:14:59.999"), ("d", "08:15:00"), ("n", "x"),
    ]  # fmt: skip
    rows = f"<row>{''.join(cell.format(*one) for one in values)}</row>"
    said = ["0.1", "1", "2000", "-12", "no", "yes", "aA", "#N/A", "2026-03-02",
            "2026-03-02T08:15:00", "08:15:00", "x"]  # fmt: skip
    notes = []
    assert read(tmp_path, parts_of(rows), notes) == [(1, said)]
    assert len(notes) == ("<f>" in cell)


def test_a_formula_may_have_the_empty_text_and_nothing_else_that_is_empty(tmp_path):
    rows = '<row r="1"><c r="A1"><v>1</v></c>{}</row>'
    there = '<c r="B1" t="str"><f>IF(A1=2,A1,"")</f><v></v></c>'
    assert read(tmp_path, parts_of(rows.format(there))) == [(1, ["1"])]
    for hollow in (there.replace("<v></v>", ""), there.replace(' t="str"', "")):
        with pytest.raises(InputError, match="sheet A: formulas without a value in B1;"):
            read(tmp_path, parts_of(rows.format(hollow)))


@pytest.mark.parametrize(
    ("form", "serial", "said"),
    [
        ("General", "46083.34375", "46083.34375"),
        ("0.00", "46083.34375", "46083.34375"),
        ("0.00E+00", "0.5", "0.5"),
        ('0" days"', "3", "3"),
        (r"0\ \m\i\n;[Red]\-0", "3", "3"),
        ("[Magenta]0", "3", "3"),
        ("[$-40C]0;dd", "3", "3"),
        ("dd/mm/yyyy", "46083", "2026-03-02"),
        ("[$-40C]d\\ mmmm\\ yyyy;@", "46083", "2026-03-02"),
        ("dd/mm/yyyy", "46083.34375", "2026-03-02T08:15:00"),
        ("dd/mm/yyyy hh:mm", "46083.343749", "2026-03-02T08:15:00"),
        ("h:mm AM/PM", "0.34374999999999994", "08:15:00"),
        ("h:mm", "0.9999999", "23:59:59"),
        ("h:mm", "0", "00:00:00"),
        ("dd/mm/yyyy", "59", "1900-02-28"),
        ("dd/mm/yyyy", "61", "1900-03-01"),
        ("dd/mm/yyyy", "-3", "-3"),
        ("dd/mm/yyyy", "99999999", "99999999"),
        ("[h]:mm", "1.0833333333333333", "26:00"),
        ("[mm]:ss", "0.5", "12:00"),
        ("[h]:mm", "-0.5", "-0.5"),
    ],
)
def test_a_format_says_what_a_number_is(tmp_path, form, serial, said):
    text = form.replace("&", "&amp;").replace('"', "&quot;")
    styles = (
        f'<numFmts><numFmt numFmtId="170" formatCode="{text}"/></numFmts>'
        '<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="170"/></cellXfs>'
    )
    rows = f'<row><c s="1"><v>{serial}</v></c></row>'
    assert read(tmp_path, parts_of(rows, styles=styles)) == [(1, [said])]


def test_formats_that_every_workbook_has_and_a_style_that_it_has_not(tmp_path):
    numbers = (0, 2, 14, 20, 22, 31, 46, 47, 49, 57)
    styles = "".join(f'<xf numFmtId="{one}"/>' for one in numbers)
    cells = "".join(f'<c s="{k}"><v>1.5</v></c>' for k in range(len(numbers) + 1))
    found = read(tmp_path, parts_of(f"<row>{cells}</row>", styles=f"<cellXfs>{styles}</cellXfs>"))
    day = "1900-01-01T12:00:00"
    assert found[0][1] == ["1.5", "1.5", day, day, day, day, "36:00", day, "1.5", day, "1.5"]


def test_days_may_be_counted_from_1904(tmp_path):
    styles = '<cellXfs><xf numFmtId="14"/></cellXfs>'
    for value, said in (("1", "2026-03-02"), ("true", "2026-03-02"), ("0", "2022-03-01")):
        settings = f'<workbookPr date1904="{value}"/>'
        parts = parts_of("<row><c s='0'><v>44621</v></c></row>", "", styles, settings)
        assert read(tmp_path, parts) == [(1, [said])]


def test_other_namespaces_prefixes_and_paths(tmp_path):
    rows = '<row><c t="s"><v>0</v></c></row>'
    parts = parts_of(rows, "<si><t>x</t></si>", main=STRICT)
    assert read(tmp_path, parts) == [(1, ["x"])]
    sheet = (
        f'<x:worksheet xmlns:x="{MAIN}"><x:sheetData><x:row r="1"><x:c r="A1"><x:v>1</x:v></x:c>'
        "</x:row></x:sheetData>{}</x:worksheet>"
    )
    parts = parts_of("")
    parts["XL/Worksheets/Sheet1.xml"] = parts.pop("xl/worksheets/sheet1.xml")
    parts["XL/Worksheets/Sheet1.xml"] = sheet.format("")
    parts["xl/_rels/workbook.xml.rels"] = relations(("worksheet", "/xl/worksheets/sheet1.xml"))
    del parts["xl/sharedStrings.xml"], parts["xl/styles.xml"]
    assert read(tmp_path, parts) == [(1, ["1"])]
    merged = '<x:mergeCells><x:mergeCell ref="A1:B1"/></x:mergeCells>'
    parts["XL/Worksheets/Sheet1.xml"] = sheet.format(merged)
    with pytest.raises(InputError, match="sheet A: merged cells in A1:B1;"):
        read(tmp_path, parts)


def test_a_sheet_that_is_a_chart_is_none(tmp_path):
    parts = parts_of("<row><c><v>1</v></c></row>")
    parts["xl/workbook.xml"] = parts["xl/workbook.xml"].replace(
        "<sheets>", '<sheets><sheet name="Chart" sheetId="2" r:id="rId4"/>'
    )
    parts["xl/_rels/workbook.xml.rels"] = parts["xl/_rels/workbook.xml.rels"].replace(
        "</", f'<Relationship Id="rId4" Type="{OFFICE}/chartsheet" Target="c.xml"/></'
    )
    assert read(tmp_path, parts) == [(1, ["1"])]


def test_what_openpyxl_reads_of_its_own_is_what_is_read(tmp_path):
    """The same cells by another program: openpyxl writes them, and says what they are."""
    import openpyxl

    day = datetime(2026, 3, 2, 8, 15)
    rows = [
        [day + timedelta(minutes=37 * k), (day + timedelta(minutes=7 * k)).time(), date(2026, 3, 2),
         timedelta(minutes=11 * k), k / 7, k, -k * 10**12, f" é {k} & <", k % 2 == 0, None, "z"]
        for k in range(1, 40)
    ]  # fmt: skip
    path = tmp_path / "own.xlsx"
    write_xlsx(path, {"A": rows})
    values = openpyxl.load_workbook(path).active.values
    lines = read_xlsx(path.read_bytes(), path, "", [])
    assert lines == [(k, [_said(value) for value in row]) for k, row in enumerate(values, 1)]


def _said(value):
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat() if value.time() != time() else value.date().isoformat()
        case time():
            return value.isoformat()
        case timedelta():
            minutes = round(value.total_seconds() / 60)
            return f"{minutes // 60:02d}:{minutes % 60:02d}"
        case float():
            return repr(value) if value % 1 else str(int(value))
    return str(value).strip()


def test_reading_needs_no_package_of_somebody_else(tmp_path, monkeypatch):
    path = tmp_path / "own.xlsx"
    write_xlsx(path, {"A": [["x"]]})
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert read_xlsx(path.read_bytes(), path, "", []) == [(1, ["x"])]


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("_rels/.rels", relations(("image", "thumbnail.png"))),
        ("_rels/.rels", relations(("officeDocument", "xl/workbook.bin"))),
        ("xl/workbook.xml", "<workbook"),
        ("xl/workbook.xml", "<!DOCTYPE w [<!ENTITY a 'b'>]><w>&c;</w>"),
        ("xl/_rels/workbook.xml.rels", relations()),
        ("xl/worksheets/sheet1.xml", f'<worksheet xmlns="{MAIN}"><sheetData><row r="1">'),
        ("xl/sharedStrings.xml", f'<sst xmlns="{MAIN}"/>'),
        ("xl/styles.xml", f'<s xmlns="{MAIN}"><numFmts><numFmt numFmtId="x"/></numFmts></s>'),
    ],
)
def test_what_is_damaged_is_refused_by_its_name(tmp_path, part, text):
    parts = parts_of('<row><c t="s"><v>0</v></c></row>', "<si><t>x</t></si>")
    assert read(tmp_path, parts) == [(1, ["x"])]
    parts[part] = text
    with pytest.raises(InputError, match=r"some\.xlsx is a spreadsheet that cannot be read"):
        read(tmp_path, parts)


@pytest.mark.parametrize("where", ["AAAA1", "1", "é1", "a1", "$A$1"])
def test_a_cell_that_no_sheet_can_have_is_damage(tmp_path, where):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path, parts_of(f'<row><c r="{where}"><v>0</v></c></row>'))
