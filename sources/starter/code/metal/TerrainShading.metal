// Terrain rendering: a height field displaced in the vertex stage, splatted
// materials with triplanar mapping on steep ground, and height fog.

#include <metal_stdlib>
using namespace metal;

enum BufferIndex : uint {
    kBufferVertices = 0,
    kBufferFrame = 1,
    kBufferPatch = 2,
};

struct FrameUniforms {
    float4x4 viewProjection;
    float3 cameraPosition;
    float3 sunDirection;      // towards the sun, normalised
    float3 sunColour;
    float3 skyColour;
    float fogDensity;
    float fogFalloff;         // per metre of height
};

struct PatchUniforms {
    float2 origin;            // world metres
    float size;               // edge length of this patch
    float morph;              // 0 = this level of detail, 1 = the coarser one
};

struct PatchVertex {
    float2 grid       [[attribute(0)]]; // 0 ... 1
    float2 coarseGrid [[attribute(1)]]; // where it sits on the coarser level
};

struct TerrainVarying {
    float4 clip [[position]];
    float3 world;
    float2 mapCoordinate;
    half fog;
};

constexpr sampler heightSampler(coord::normalized, address::clamp_to_edge, filter::linear);
constexpr sampler detailSampler(coord::normalized, address::repeat, filter::linear,
                                mip_filter::linear, max_anisotropy(8));

constant constexpr float kMapMetres = 4096.0f;
constant constexpr float kHeightScale = 600.0f;

// Fog whose density falls exponentially with height, integrated exactly
// along the view ray.
static float fogAmount(float3 from, float3 to, constant FrameUniforms &frame)
{
    const float3 ray = to - from;
    const float rise = ray.y * frame.fogFalloff;
    const float shape = abs(rise) > 1e-3f ? (1.0f - exp(-rise)) / rise : 1.0f;
    const float depth = frame.fogDensity * length(ray) * exp(-from.y * frame.fogFalloff) * shape;
    return 1.0f - exp(-depth);
}

vertex TerrainVarying terrainVertex(PatchVertex in                [[stage_in]],
                                    constant FrameUniforms &frame [[buffer(kBufferFrame)]],
                                    constant PatchUniforms &tile  [[buffer(kBufferPatch)]],
                                    texture2d<float> heights      [[texture(0)]])
{
    // Sliding towards the coarse position hides the switch of levels.
    const float2 grid = mix(in.grid, in.coarseGrid, tile.morph);
    const float2 plane = tile.origin + grid * tile.size;

    TerrainVarying out;
    out.mapCoordinate = plane / kMapMetres;
    const float height = heights.sample(heightSampler, out.mapCoordinate, level(0.0f)).r;
    out.world = float3(plane.x, height * kHeightScale, plane.y);
    out.clip = frame.viewProjection * float4(out.world, 1.0f);
    out.fog = half(fogAmount(frame.cameraPosition, out.world, frame));
    return out;
}

static float3 normalAt(texture2d<float> heights, float2 coordinate)
{
    const float texel = 1.0f / float(heights.get_width());
    const float east = heights.sample(heightSampler, coordinate + float2(texel, 0)).r;
    const float west = heights.sample(heightSampler, coordinate - float2(texel, 0)).r;
    const float south = heights.sample(heightSampler, coordinate + float2(0, texel)).r;
    const float north = heights.sample(heightSampler, coordinate - float2(0, texel)).r;
    const float run = 2.0f * texel * kMapMetres;
    return normalize(float3((west - east) * kHeightScale, run, (north - south) * kHeightScale));
}

static half3 triplanar(texture2d_array<half> materials, uint layer, float3 p, float3 n)
{
    float3 weight = pow(abs(n), float3(6.0f));
    weight /= weight.x + weight.y + weight.z;
    const half3 x = materials.sample(detailSampler, p.zy, layer).rgb;
    const half3 y = materials.sample(detailSampler, p.xz, layer).rgb;
    const half3 z = materials.sample(detailSampler, p.xy, layer).rgb;
    return x * half(weight.x) + y * half(weight.y) + z * half(weight.z);
}

fragment half4 terrainFragment(TerrainVarying in                [[stage_in]],
                               constant FrameUniforms &frame    [[buffer(kBufferFrame)]],
                               texture2d<float> heights         [[texture(0)]],
                               texture2d<half> splat            [[texture(1)]],
                               texture2d_array<half> materials  [[texture(2)]])
{
    const float3 normal = normalAt(heights, in.mapCoordinate);
    const half4 mask = splat.sample(detailSampler, in.mapCoordinate);
    const float3 detail = in.world / 6.0f;

    // r: grass, g: sand, b: snow; what is left over is rock.
    half3 albedo = materials.sample(detailSampler, detail.xz, 0).rgb * mask.r;
    albedo += materials.sample(detailSampler, detail.xz, 1).rgb * mask.g;
    albedo += materials.sample(detailSampler, detail.xz, 2).rgb * mask.b;
    const half rock = saturate(1.0h - mask.r - mask.g - mask.b);
    const half steep = half(1.0f - smoothstep(0.6f, 0.75f, normal.y));
    albedo = mix(albedo, triplanar(materials, 3, detail, normal), half3(max(rock, steep)));

    const float sun = saturate(dot(normal, frame.sunDirection));
    const float sky = 0.5f + 0.5f * normal.y;
    half3 colour = albedo * half3(frame.sunColour * sun + frame.skyColour * sky);
    colour = mix(colour, half3(frame.skyColour), half3(in.fog));
    return half4(colour, 1.0h);
}
