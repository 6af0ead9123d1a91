"""Countries and their regions: ISO 3166-1 alpha-2 and alpha-3, the subdivisions of Canada and the
United States (ISO 3166-2), and the currencies whose smallest unit is not a hundredth (ISO 4217)."""

from __future__ import annotations

_CODES = """
AD AND AE ARE AF AFG AG ATG AI AIA AL ALB AM ARM AO AGO AQ ATA AR ARG AS ASM AT AUT AU AUS AW
ABW AX ALA AZ AZE BA BIH BB BRB BD BGD BE BEL BF BFA BG BGR BH BHR BI BDI BJ BEN BL BLM BM BMU
BN BRN BO BOL BQ BES BR BRA BS BHS BT BTN BV BVT BW BWA BY BLR BZ BLZ CA CAN CC CCK CD COD CF
CAF CG COG CH CHE CI CIV CK COK CL CHL CM CMR CN CHN CO COL CR CRI CU CUB CV CPV CW CUW CX CXR
CY CYP CZ CZE DE DEU DJ DJI DK DNK DM DMA DO DOM DZ DZA EC ECU EE EST EG EGY EH ESH ER ERI ES
ESP ET ETH FI FIN FJ FJI FK FLK FM FSM FO FRO FR FRA GA GAB GB GBR GD GRD GE GEO GF GUF GG GGY
GH GHA GI GIB GL GRL GM GMB GN GIN GP GLP GQ GNQ GR GRC GS SGS GT GTM GU GUM GW GNB GY GUY HK
HKG HM HMD HN HND HR HRV HT HTI HU HUN ID IDN IE IRL IL ISR IM IMN IN IND IO IOT IQ IRQ IR IRN
IS ISL IT ITA JE JEY JM JAM JO JOR JP JPN KE KEN KG KGZ KH KHM KI KIR KM COM KN KNA KP PRK KR
KOR KW KWT KY CYM KZ KAZ LA LAO LB LBN LC LCA LI LIE LK LKA LR LBR LS LSO LT LTU LU LUX LV LVA
LY LBY MA MAR MC MCO MD MDA ME MNE MF MAF MG MDG MH MHL MK MKD ML MLI MM MMR MN MNG MO MAC MP
MNP MQ MTQ MR MRT MS MSR MT MLT MU MUS MV MDV MW MWI MX MEX MY MYS MZ MOZ NA NAM NC NCL NE NER
NF NFK NG NGA NI NIC NL NLD NO NOR NP NPL NR NRU NU NIU NZ NZL OM OMN PA PAN PE PER PF PYF PG
PNG PH PHL PK PAK PL POL PM SPM PN PCN PR PRI PS PSE PT PRT PW PLW PY PRY QA QAT RE REU RO ROU
RS SRB RU RUS RW RWA SA SAU SB SLB SC SYC SD SDN SE SWE SG SGP SH SHN SI SVN SJ SJM SK SVK SL
SLE SM SMR SN SEN SO SOM SR SUR SS SSD ST STP SV SLV SX SXM SY SYR SZ SWZ TC TCA TD TCD TF ATF
TG TGO TH THA TJ TJK TK TKL TL TLS TM TKM TN TUN TO TON TR TUR TT TTO TV TUV TW TWN TZ TZA UA
UKR UG UGA UM UMI US USA UY URY UZ UZB VA VAT VC VCT VE VEN VG VGB VI VIR VN VNM VU VUT WF WLF
WS WSM YE YEM YT MYT ZA ZAF ZM ZMB ZW ZWE
"""
_ALPHA = _CODES.split()
ALPHA_3 = dict(zip(_ALPHA[::2], _ALPHA[1::2], strict=True))
ALPHA_2 = {three: two for two, three in ALPHA_3.items()}

_REGIONS = {
    "CA": """AB Alberta;BC British Columbia;MB Manitoba;NB New Brunswick;
        NL Newfoundland and Labrador;NS Nova Scotia;NT Northwest Territories;NU Nunavut;ON Ontario;
        PE Prince Edward Island;QC Quebec;QC Québec;SK Saskatchewan;YT Yukon""",
    "US": """AL Alabama;AK Alaska;AZ Arizona;AR Arkansas;CA California;CO Colorado;CT Connecticut;
        DE Delaware;DC District of Columbia;FL Florida;GA Georgia;HI Hawaii;ID Idaho;IL Illinois;
        IN Indiana;IA Iowa;KS Kansas;KY Kentucky;LA Louisiana;ME Maine;MD Maryland;
        MA Massachusetts;MI Michigan;MN Minnesota;MS Mississippi;MO Missouri;MT Montana;NE Nebraska;
        NV Nevada;NH New Hampshire;NJ New Jersey;NM New Mexico;NY New York;NC North Carolina;
        ND North Dakota;OH Ohio;OK Oklahoma;OR Oregon;PA Pennsylvania;RI Rhode Island;
        SC South Carolina;SD South Dakota;TN Tennessee;TX Texas;UT Utah;VT Vermont;VA Virginia;
        WA Washington;WV West Virginia;WI Wisconsin;WY Wyoming""",
}
REGIONS: dict[str, dict[str, str]] = {}
"""Country -> name or code of a region, folded -> its code."""
for _country, _names in _REGIONS.items():
    _found = REGIONS.setdefault(_country, {})
    for _entry in _names.split(";"):
        _code, _, _name = " ".join(_entry.split()).partition(" ")
        _found[_name.casefold()] = _found[_code.casefold()] = _code

_MINOR_UNITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
_DIGITS = {code: digits for digits, codes in _MINOR_UNITS.items() for code in codes.split()}


def alpha_2(country: str) -> str | None:
    """The two letters of a country given by two or three, None when there is none like that."""
    code = country.strip().upper()
    return code if code in ALPHA_3 else ALPHA_2.get(code)


def region_of(country: str, state: str | None) -> str | None:
    """The code of a region: of its code, its name, or both ("QC", "Quebec", "CA-QC"). Where this
    module has no list, the text itself; None when nothing was given or it is not in the list."""
    text = (state or "").strip()
    if not text:
        return None
    bare = text[3:] if text.upper().startswith(f"{country}-") else text
    known = REGIONS.get(country)
    return bare.upper() if known is None else known.get(bare.casefold())


def minor_digits(currency: str) -> int:
    """How many decimals amounts of a currency have."""
    return _DIGITS.get(currency, 2)
