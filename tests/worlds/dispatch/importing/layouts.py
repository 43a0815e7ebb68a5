"""Seventeen tables as people and their software write them, all made up, and how each is read."""

from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path

from compagnon.worlds.dispatch.commands import read_files
from compagnon.worlds.dispatch.layout_options import Layout

FLEET = """id,date,shift_start,shift_end,start_lat,start_lon,seats
D1,{day},06:00,22:00,{lat},{lon},4 ambulatory + 2 wheelchair + 2 companion + stretcher
"""
GENEVA = """name,address,lat,lon
Clinique,"1 av. de l'Hôpital, 74370 Épagny",46.2300,6.1200
,"12 rue de la Paix, 74100 Annemasse",46.1935,6.2340
,"3 chemin des Prés, 74200 Thonon",46.2400,6.2500
Gare,Place de la Gare 1,46.2100,6.1420
Dupont,4 rue du Lac,46.2050,6.1500
"""
PORTLAND = """name,address,lat,lon
,"1600 Main St, Portland, OR",45.5200,-122.6800
,"20 Clinic Way, Portland, OR",45.5000,-122.6500
,1 Main St,45.5200,-122.6800
,20 Clinic Way,45.5000,-122.6500
"""


@dataclass(frozen=True)
class Case:
    """A table, how it is read, and what is in it.

    Attributes:
        text: the file; or rows of cells, of an XLSX.
        rides: how many.
        window: pickup_from, pickup_to, dropoff_from, dropoff_to of the first, minutes; None: open.
        load: of the first: ambulatory, wheelchair, stretcher, companion.
        column: a heading that is taken away, and what is said then.
        value: a cell that is spoilt, what it becomes, and the field that is named.
        place: an address that is taken out of the places.
    """

    name: str
    text: str | dict[str, list[list[object]]]
    rides: int
    window: tuple[float | None, ...]
    load: tuple[int, ...]
    column: tuple[str, str]
    value: tuple[str, str, str]
    layout: dict[str, object] = field(default_factory=dict)
    profile: str = ""
    places: str = ""
    place: str = ""
    encoding: str = "utf-8"
    zone: str = "Europe/Paris"
    day: str = "2026-03-02"
    at: tuple[float, float] = (46.2, 6.14)
    suffix: str = ".csv"
    vehicles: tuple[str, ...] = ()


def write(case, folder, text=None, places=None):
    """The files of a case, and the arguments of `read_files`."""
    text = case.text if text is None else text
    file = folder / f"trips{case.suffix}"
    if isinstance(text, dict):
        write_xlsx(file, text)
    else:
        file.write_bytes(text.encode(case.encoding))
    options = dict(case.layout)
    if case.profile:
        mine = folder / "mine.toml"
        mine.write_text(case.profile, "utf-8")
        options["profile"] = (str(mine),)
    if case.places:
        table = folder / "places.csv"
        table.write_text(case.places if places is None else places, "utf-8")
        options["places"] = (table,)
    drivers = None
    if case.vehicles:
        options["vehicles"] = case.vehicles
    else:
        drivers = folder / "drivers.csv"
        lat, lon = case.at
        drivers.write_text(FLEET.format(day=case.day, lat=lat, lon=lon))
    return file, drivers, None, (case.zone, "", 30.0, False), Layout(**options)


def read(case, folder, **changes):
    """The days of a case."""
    return read_files(*write(case, folder, **changes))


def write_xlsx(path: Path, sheets: dict[str, list[list[object]]], merged=(), formulas=()):
    """A workbook of these sheets; `formulas` are put in as they are, without values."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        for cells in merged:
            sheet.merge_cells(cells)
        for at, formula in formulas:
            sheet[at] = formula
    book.save(path)


VSL = """N° course;Date;Heure RDV;Heure prise en charge;Patient;N° sécu;Type transport;\
Adresse départ;CP départ;Ville départ;Adresse arrivée;CP arrivée;Ville arrivée;A/R;Motif
C-001;02/03/2026;09h30;08h45;P1 NOM;0 00;VSL;12 rue de la Paix;74100;Annemasse;1 av. de l'Hôpital;\
74370;Épagny;AR;Dialyse
C-002;02/03/2026;;14h00;P2 NOM;0 00;AMB;3 chemin des Prés;74200;Thonon;1 av. de l'Hôpital;74370;\
Épagny;A;Consultation
"""
RIDESHEET = """\
Trip Date,Customer Name and ID,Earliest PU Time,PU Time,Latest PU Time,DO Time,\
Appt Time,PU Address,DO Address,Guests,Mobility Factors,Trip Purpose,Trip ID
3/2/2026,"A (12)",8:00 AM,8:15 AM,8:30 AM,8:50 AM,9:00 AM,"1600 Main St, Portland, OR",\
"20 Clinic Way, Portland, OR",1,Wheelchair,Medical,T-1
3/2/2026,"B (13)",1:00 PM,1:15 PM,1:30 PM,,,"20 Clinic Way, Portland, OR",\
"1600 Main St, Portland, OR",0,,Medical,T-2
"""
MEDIROUTE = """NAME,PHONE,PICK UP,DROP OFF,PURPOSE,TIME,DISTANCE
A B,555-0100,1 Main St,20 Clinic Way,Dialysis,08:30,7.2
C D,555-0101,20 Clinic Way,1 Main St,Dialysis,12:45,7.2
"""
VALUES = """\
id;pickup_lat;pickup_lon;dropoff_lat;dropoff_lon;seats;date;pickup_from;pickup_to;no_show
C1;46,2;6,14;46,24;6,14;fauteuil;2026-03-02;09h00;09h30;non
C2;46,2;6,14;46,24;6,14;VSL;02/03/2026;2026-03-02T09:00;2026-03-02T09:30;oui
C3;46,2;6,14;46,24;6,14;assis;2026-03-02;09:00;09:30;
"""
EXCEL = {
    "Notes": [["ce qui est à savoir"]],
    "Courses": [
        ["N°", "Jour", "Heure départ", "Adresse départ", "Adresse arrivée", "Mobilité", "Nom"],
        [101, datetime(2026, 3, 2), time(8, 45), "4 rue du Lac", "Place de la Gare 1", "TPMR", "X"],
        [102, datetime(2026, 3, 2), time(10, 0), "Gare", "Dupont", "assis", "Y"],
    ],
}
ERP = """Transportaufträge
Edition 01.03.2026

AUFNR\tDATUM\tUHRZEIT\tABLAT\tABLON\tZILAT\tZILON\tTRART\tKUNNR
0000451\t20260302\t083000\t46,2044\t6,1432\t46,2300\t6,1200\tROLLI\t99
0000452\t20260302\t101500\t46,2300\t6,1200\t46,2044\t6,1432\tSITZ\t98
"""
ERP_PROFILE = """kind = "bookings"
header = 4
delimiter = "\\t"
date_format = "%Y%m%d"
time_format = "%H%M%S"
tolerance = { pickup = 20 }
[columns]
id = "AUFNR"
date = "DATUM"
pickup_time = "UHRZEIT"
pickup_lat = "ABLAT"
pickup_lon = "ABLON"
dropoff_lat = "ZILAT"
dropoff_lon = "ZILON"
seats = "TRART"
[words.seats]
ROLLI = "wheelchair"
SITZ = "ambulatory"
LIEGE = "stretcher"
"""
TAXI = """Job No,Job Date,Time,From,To,Pax,Vehicle,Customer,Mobile
7001,02/03/2026,9.30,Gare,4 rue du Lac,2,Saloon,Mr X,07700
7002,02/03/2026,17.05,4 rue du Lac,Gare,1,WAV,Mrs Y,07701
"""
TAXI_PROFILE = """kind = "bookings"
tolerance = { pickup = [5, 10] }
[columns]
id = "Job No"
date = "Job Date"
pickup_time = "Time"
pickup_address = "From"
dropoff_address = "To"
passengers = "Pax"
seats = "Vehicle"
[words.seats]
Saloon = "ambulatory"
"""
BROKER = """TripID|LOS|PickupTime|ApptTime|PULat|PULon|DOLat|DOLon|MemberID|Escorts
B1|WCH|2026-03-02T08:00:00-08:00|2026-03-02T09:00:00-08:00|45.52|-122.68|45.50|-122.65|m1|1
B2|AMB|2026-03-02T13:00:00-08:00||45.50|-122.65|45.52|-122.68|m2|0
"""
BROKER_PROFILE = """kind = "bookings"
tolerance = { pickup = 15, dropoff = 30 }
[columns]
id = "TripID"
seats = "LOS"
pickup_time = "PickupTime"
dropoff_time = "ApptTime"
pickup_lat = "PULat"
pickup_lon = "PULon"
dropoff_lat = "DOLat"
dropoff_lon = "DOLon"
companions = "Escorts"
[words.seats]
AMB = "ambulatory"
"""
ROTKREUZ = """Auftrag;Datum;Abholzeit;Abholort;Zielort;Mittel;Fahrgast;Telefon
1;2.3.2026;8.15;Gare;Clinique;Rollstuhl;N N;022
2;2.3.2026;11.40;Clinique;Gare;gehend;M M;022
"""
FORM = """Timestamp,Date of the ride,Be there at,Start latitude,Start longitude,End latitude,\
End longitude,How do you travel,Your name
2026-03-01T18:22:05+01:00,2026-03-02,2026-03-02T10:00+01:00,46.2044,6.1432,46.23,6.12,walking,A
2026-03-02T07:02:00+01:00,2026-03-02,2026-03-02T11:30+01:00,46.2044,6.1432,46.23,6.12,wheelchair,B
"""
HOSPITAL = """Réf;Jour;Heure de RDV;Heure retour;Lat départ;Lon départ;Lat arrivée;Lon arrivée;\
Besoin;Accompagnants;Annulé
H1;02/03/26;8h30;12h15;46,1935;6,2340;46,2300;6,1200;brancard;1;
H2;02/03/26;9h;;46,1935;6,2340;46,2300;6,1200;ambulatory;0;oui
H3;02/03/26;10h15;11h45;46,1935;6,2340;46,2300;6,1200;fauteuil;0;non
"""
DUMP = """uuid,earliest,latest,origin_lat,origin_lng,dest_lat,dest_lng,mobility,created
a1,2026-03-02T07:15:00Z,2026-03-02T07:45:00Z,46.2044,6.1432,46.23,6.12,wheelchair,2026-02-27T10:00:00Z
a2,2026-03-02T13:00:00Z,2026-03-02T13:20:00Z,46.23,6.12,46.2044,6.1432,ambulatory,2026-03-02T12:10:00Z
"""
FICHE = """sep=;
Course;Date;Départ de;Départ à;Latitude PEC;Longitude PEC;Latitude destination;\
Longitude destination;Places;Téléphone
F1;02.03.2026;9h00;9h20;46,2044;6,143;46,23;6,12;2 assis + accompagnant;06
F2;02.03.2026;20h40;21h;46,23;6,12;46,2044;6,1432;1 fauteuil;06
"""
FLEETPY = """rq_time,start,end,request_id,is_multimodal
27900,2966,2977,0,1
31200,2977,2966,1,0
"""
NODES = """node_index,is_stop_only,pos_x,pos_y
2966,False,6.14,46.20
2977,False,6.15,46.23
"""
NYC = """VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,\
pickup_longitude,pickup_latitude,RateCodeID,store_and_fwd_flag,dropoff_longitude,dropoff_latitude,\
payment_type,fare_amount
2,2016-01-05 08:00:00,2016-01-05 08:15:00,3,1.10,-73.9903,40.7346,1,N,-73.9818,40.7324,2,7.5
1,2016-01-05 09:10:30,2016-01-05 09:20:00,0,2.10,-73.9818,40.7324,1,N,-73.9903,40.7346,1,9.0
"""
NYC_ZONES = """VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,PULocationID,\
DOLocationID,fare_amount
2,2026-03-02 08:00:00,2026-03-02 08:15:00,1,161,236,7.5
1,2026-03-02 09:10:30,2026-03-02 09:20:00,2,236,161,9.0
"""
ZONES = """LocationID,Zone,lat,lon
161,Midtown Center,40.7580,-73.9777
236,Upper East Side North,40.7804,-73.9573
"""
SCHOOL = """Tour,Minutes,Élèves,Lat montée,Lon montée,Lat école,Lon école
E1,485,3,46.2044,6.1432,46.23,6.12
E2,490,2,46.2100,6.1500,46.23,6.12
"""
SCHOOL_PROFILE = """kind = "bookings"
encoding = "latin-1"
time_format = "minutes"
tolerance = { dropoff = [10, 0] }
[columns]
id = "Tour"
dropoff_time = "Minutes"
passengers = "Élèves"
pickup_lat = "Lat montée"
pickup_lon = "Lon montée"
dropoff_lat = "Lat école"
dropoff_lon = "Lon école"
[constants]
date = "2026-03-02"
"""
CASES = (
    Case("french medical transport", VSL, 2, (510, 540, 540, 570), (1, 0, 0, 0),
         ("Heure prise en charge", "no column 'Heure prise en charge'"),
         (";VSL;", ";HELICO;", "seats (Type transport)"), {"profile": ("transport-sanitaire",)},
         places=GENEVA, place=',"12 rue de la Paix, 74100 Annemasse",46.1935,6.2340\n',
         encoding="cp1252"),
    Case("volunteer trip sheet", RIDESHEET, 2, (480, 510, None, 540), (0, 1, 0, 1),
         ("Appt Time", "no column 'Appt Time'"),
         ("8:30 AM", "8:60 AM", "pickup_to (Latest PU Time)"), {"profile": ("ridesheet",)},
         places=PORTLAND, place=',"1600 Main St, Portland, OR",45.5200,-122.6800\n',
         zone="", day="3/2/2026", at=(45.51, -122.66)),
    Case("small fleet, one time", MEDIROUTE, 2, (495, 525, None, None), (1, 0, 0, 0),
         ("TIME", "no column 'TIME'"), ("08:30", "half past", "pickup_time (TIME)"),
         {"map": ("pickup_time=TIME", "pickup_address=PICK UP", "dropoff_address=DROP OFF"),
          "set": ("date=2026-03-02", "seats=ambulatory"), "tolerance": ("15",)},
         places=PORTLAND, place=",1 Main St,45.5200,-122.6800\n",
         zone="America/Los_Angeles", at=(45.51, -122.66)),
    Case("our columns, French values", VALUES, 3, (540, 570, None, None), (0, 1, 0, 0),
         ("seats", "no column seats"), (";assis;", ";luge;", "seats")),
    Case("Excel in French", EXCEL, 2, (510, 540, None, None), (0, 1, 0, 0),
         ("Heure départ", "pickup_to nor dropoff_to"), ("TPMR", "traîneau", "seats (Mobilité)"),
         {"guess": True, "yes": True, "sheet": "Courses"}, places=GENEVA,
         place="Dupont,4 rue du Lac,46.2050,6.1500\n", suffix=".xlsx"),
    Case("ERP export", ERP, 2, (490, 530, None, None), (0, 1, 0, 0),
         ("UHRZEIT", "no column 'UHRZEIT'"), ("\t083000\t", "\t08:30\t", "pickup_time (UHRZEIT)"),
         profile=ERP_PROFILE),
    Case("English taxi office", TAXI, 2, (565, 580, None, None), (2, 0, 0, 0),
         ("From", "no column 'From'"), (",2,Saloon", ",two,Saloon", "passengers (Pax)"),
         profile=TAXI_PROFILE, places=GENEVA, place="Gare,Place de la Gare 1,46.2100,6.1420\n"),
    Case("broker's manifest", BROKER, 2, (465, 495, 510, 540), (0, 1, 0, 1),
         ("LOS", "no column 'LOS'"), ("T08:00:00-08:00", "T08:00:00", "pickup_time (PickupTime)"),
         profile=BROKER_PROFILE, zone="America/Los_Angeles", at=(45.51, -122.66)),
    Case("German association", ROTKREUZ, 2, (485, 505, None, None), (0, 1, 0, 0),
         ("Mittel", "no column 'Mittel'"), (";8.15;", ";8.75;", "pickup_time (Abholzeit)"),
         profile='kind = "bookings"\ntolerance = {pickup = 10}\n[columns]\nid = "Auftrag"\n'
                 'date = "Datum"\npickup_time = "Abholzeit"\npickup_address = "Abholort"\n'
                 'dropoff_address = "Zielort"\nseats = "Mittel"\n[words.seats]\n'
                 'Rollstuhl = "wheelchair"\ngehend = "ambulatory"\n',
         places=GENEVA, place="Clinique,\"1 av. de l'Hôpital, 74370 Épagny\",46.2300,6.1200\n"),
    Case("answers of a form", FORM, 2, (None, None, 570, 600), (1, 0, 0, 0),
         ("Be there at", "no column 'Be there at'"),
         ("10:00+01:00", "10 o'clock", "dropoff_time (Be there at)"),
         {"map": ("booked_at=Timestamp", "dropoff_time=Be there at", "date=Date of the ride",
                  "pickup_lat=Start latitude", "pickup_lon=Start longitude",
                  "dropoff_lat=End latitude", "dropoff_lon=End longitude",
                  "seats=How do you travel"),
          "tolerance": ("dropoff=30",)}, vehicles=("2 x 2 ambulatory + wheelchair",)),
    Case("hospital list with returns", HOSPITAL, 4, (None, None, None, 510), (0, 0, 1, 1),
         ("Lat départ", "no column pickup_lat"), (";8h30;", ";8h3;", "dropoff_to (Heure de RDV)"),
         {"guess": True, "yes": True}, encoding="latin-1"),
    Case("dump of an interface", DUMP, 2, (495, 525, None, None), (0, 1, 0, 0),
         ("latest", "no column 'latest'"), ("07:45:00Z", "07:05:00Z", "pickup_to (latest)"),
         {"map": ("id=uuid", "pickup_from=earliest", "pickup_to=latest", "pickup_lat=origin_lat",
                  "pickup_lon=origin_lng", "dropoff_lat=dest_lat", "dropoff_lon=dest_lng",
                  "seats=mobility", "booked_at=created")},
         vehicles=("1 x 3 ambulatory + 2 wheelchair",)),
    Case("French sheet with its delimiter", FICHE, 2, (540, 560, None, None), (2, 0, 0, 1),
         ("Places", "no column seats"), (";9h20;", ";8h20;", "pickup_to"), encoding="utf-8-sig"),
    Case("FleetPy", FLEETPY, 2, (465, 475, None, None), (1, 0, 0, 0),
         ("rq_time", "no column 'rq_time'"), ("27900", "soon", "pickup_time (rq_time)"),
         {"profile": ("fleetpy",)}, places=NODES, place="2977,False,6.15,46.23\n", zone="",
         vehicles=("2 x 4 ambulatory",)),
    Case("New York, coordinates", NYC, 2, (480, 490, None, None), (3, 0, 0, 0),
         ("pickup_latitude", "no column 'pickup_latitude'"),
         ("-73.9903,40.7346,1,N,-73.9818", "-73.9903,,1,N,-73.9818",
          "pickup_lat (pickup_latitude)"),
         {"profile": ("nyc-taxi",)}, zone="", vehicles=("2 x 4 ambulatory",)),
    Case("New York, zones", NYC_ZONES, 2, (480, 490, None, None), (1, 0, 0, 0),
         ("DOLocationID", "no column 'DOLocationID'"),
         ("15:00,1,161", "15:00,many,161", "passengers (passenger_count)"),
         {"profile": ("nyc-taxi-zones",)}, places=ZONES,
         place="236,Upper East Side North,40.7804,-73.9573\n", zone="",
         vehicles=("2 x 4 ambulatory",)),
    Case("school transport", SCHOOL, 2, (None, None, 475, 485), (3, 0, 0, 0),
         ("Élèves", "no column 'Élèves'"), ("E1,485", "E1,8h05", "dropoff_time (Minutes)"),
         profile=SCHOOL_PROFILE, encoding="latin-1"),
)  # fmt: skip
