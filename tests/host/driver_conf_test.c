/* /etc/drivers held against lists of devices. */
// sources: lib/sys/conf.c lib/sys/quota.c sbin/initd/driver_conf.c sbin/initd/service_conf.c
#include "sbin/initd/driver_conf.h"

#include "abi/errors.h"
#include "sbin/initd/service_conf.h"
#include "tests/host/test.h"

static char text[4096];

static struct conf_reader reader_of(const char *source)
{
    strcpy(text, source);
    return (struct conf_reader){.text = text, .length = strlen(text)};
}

TEST(rules)
{
    struct driver_rule rule;
    struct conf_reader reader =
        reader_of("# all\npci 1af4:1044 virtio-rngd # entropy\npci 0108* nvmed\n");
    CHECK_EQUAL(driver_rule_next(&reader, &rule), 1);
    CHECK_STRING(rule.bus, "pci");
    CHECK_STRING(rule.pattern, "1af4:1044");
    CHECK_STRING(rule.service, "virtio-rngd");
    CHECK_EQUAL(driver_rule_next(&reader, &rule), 1);
    CHECK_STRING(rule.service, "nvmed");
    CHECK_EQUAL(driver_rule_next(&reader, &rule), 0);
}

TEST(rules_that_are_wrong_are_passed_over)
{
    static const char *const wrong[] = {
        "pci 1af4:1044\n",   "pci 1af4:1044 a b\n",
        "pci * ../bin/sh\n", "pci * .\n",
        "p/i * nvmed\n",     "p:i * nvmed\n",
        "pci * \"a b\"\n",   "\"\" * nvmed\n",
        "pci * \"\"\n",      "pci * a-name-of-more-than-31-letters-x\n"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        char both[256];
        struct driver_rule rule;
        snprintf(both, sizeof(both), "%spci * fine\n", wrong[i]);
        struct conf_reader reader = reader_of(both);
        CHECK_EQUAL(driver_rule_next(&reader, &rule), -E_BAD_FORMAT);
        CHECK_EQUAL(reader.line, 1);
        CHECK(reader.problem);
        CHECK_EQUAL(driver_rule_next(&reader, &rule), 1);
        CHECK_STRING(rule.service, "fine");
    }
}

TEST(lists)
{
    struct bus_device device;
    strcpy(text, "00:00.0 060000 8086:29c0 0 host bridge\n"
                 "\n"
                 "short 060000 8086:29c0\n"
                 "../../x 060000 8086:29c0 0\n"
                 "00:01.0 060000 8086:29c0 many\n"
                 "a-name-of-more-than-31-letters-x 060000 8086:29c0 0\n"
                 "0001:00:02.0 010802 1b36:0010 18446744073709551615");
    char *rest = text;
    CHECK(bus_device_next(&rest, &device));
    CHECK_STRING(device.name, "00:00.0");
    CHECK_STRING(device.class_code, "060000");
    CHECK_STRING(device.ids, "8086:29c0");
    CHECK_EQUAL(device.resets, 0);
    CHECK(bus_device_next(&rest, &device));
    CHECK_STRING(device.name, "0001:00:02.0");
    CHECK_EQUAL(device.resets, UINT64_MAX);
    CHECK(!bus_device_next(&rest, &device));
    CHECK(!bus_device_next(&rest, &device));
}

TEST(what_fits)
{
    static const struct {
        const char *bus, *pattern;
        bool fits;
    } cases[] = {{"pci", "010802", true},    {"pci", "0108*", true}, {"pci", "1b36:0010", true},
                 {"pci", "1b36:*", true},    {"pci", "*", true},     {"usb", "*", false},
                 {"pci", "0108", false},     {"pci", "1b36", false}, {"pci", "[", false},
                 {"pci", "01080[0-2]", true}};
    const struct bus_device device = {"00:02.0", "010802", "1b36:0010", 0};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct driver_rule rule = {cases[i].bus, cases[i].pattern, "nvmed"};
        if (driver_rule_fits(&rule, "pci", &device) != cases[i].fits)
            FAIL("%s %s", rule.bus, rule.pattern);
    }
}

TEST(a_driver_is_told_its_device)
{
    struct service_conf conf;
    struct conf_problem problem;
    strcpy(text, "use pci\nargument -v -x\n");
    CHECK_EQUAL(service_conf_parse(&conf, "nvmed", text, strlen(text), &problem), 0);
    CHECK(service_conf_for_device(&conf, "pci:///00:02.0"));
    CHECK_STRING(conf.name, "nvmed@00:02.0");
    CHECK_STRING(conf.program, "initfs:///sbin/nvmed");
    CHECK_EQUAL(conf.arguments.count, 4);
    CHECK_STRING(conf.arguments.items[0], "initfs:///sbin/nvmed");
    CHECK_STRING(conf.arguments.items[1], "pci:///00:02.0");
    CHECK_STRING(conf.arguments.items[2], "-v");
    CHECK_STRING(conf.arguments.items[3], "-x");
    CHECK(!conf.arguments.items[4]);
    service_conf_destroy(&conf);
    text[0] = '\0';
    CHECK_EQUAL(service_conf_parse(&conf, "nvmed", text, 0, &problem), 0);
    CHECK(service_conf_for_device(&conf, "pci:///00:02.0"));
    CHECK_STRING(conf.arguments.items[1], "pci:///00:02.0");
    CHECK(!conf.arguments.items[2]);
    service_conf_destroy(&conf);
}
